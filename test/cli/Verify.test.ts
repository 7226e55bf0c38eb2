import { assert, describe, it } from "@effect/vitest"
import { render } from "../../src/cli/Verify.ts"
import type { TargetVerdict, Verdict } from "../../src/run/Verify.ts"

const target = (over: Partial<TargetVerdict>): TargetVerdict => ({
  pipeline: "bit-scores",
  target: "outreach.bit_scores",
  compared: 15_000,
  unmanaged: 6,
  drifted: 2,
  differences: [],
  unsettled: [],
  complete: true,
  ...over
})
const verdict = (over: Partial<Verdict>): Verdict => ({ equal: true, rounds: 1, applied: true, targets: [target({})], ...over })

describe("cdc verify, for a person", () => {
  it("says what was compared, and that nothing differs", () => {
    const totals = target({ target: "outreach.campaigns", compared: 16, unmanaged: 4, drifted: null })
    assert.strictEqual(
      render(verdict({ targets: [target({}), totals] })),
      [
        "table                compared  different  unsettled  unmanaged  drifted",
        "outreach.bit_scores     15000          0          0          6        2",
        "outreach.campaigns         16          0          0          4        -",
        "",
        "no differences"
      ].join("\n")
    )
  })

  it("shows every difference, a long value cut, and counts rows, not cells", () => {
    const differences = [
      { key: "k1", column: "score", stored: "1", expected: "2" },
      { key: "k1", column: "last_scored_at", stored: null, expected: "x".repeat(100) }
    ]
    assert.strictEqual(
      render(verdict({ equal: false, rounds: 2, targets: [target({ compared: 3, differences })] })),
      [
        "table                compared  different  unsettled  unmanaged  drifted",
        "outreach.bit_scores         3          1          0          6        2",
        "",
        "table                key  column          stored  expected",
        "outreach.bit_scores  k1   score           1       2",
        `outreach.bit_scores  k1   last_scored_at  null    ${"x".repeat(59)}…`,
        "",
        "1 row differs from the base tables"
      ].join("\n")
    )
  })

  it("says what makes the verdict less than certain", () => {
    const lines = render(verdict({ equal: false, applied: false, targets: [target({ complete: false, unsettled: ["k"] })] }))
    assert.match(lines, /0 or more/)
    assert.match(lines, /had not applied all earlier changes in time/)
    assert.match(lines, /more differences than shown/)
    assert.match(lines, /Unsettled rows differ/)
  })
})
