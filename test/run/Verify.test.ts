import { assert, describe, it } from "@effect/vitest"
import { type Difference, judge } from "../../src/run/Verify.ts"

const cell = (key: string, column: string, stored: string | null, expected: string | null): Difference => ({ key, column, stored, expected })

const judged = (...looks: ReadonlyArray<ReadonlyArray<Difference>>) => judge(looks.map((differences) => ({ differences })))

describe("Verify.judge", () => {
  it("calls different what every look saw in the same way", () => {
    const found = [cell("a", "score", "1", "2"), cell("b", "(row)", "absent", "present")]
    assert.deepStrictEqual(judged(found, found, found), { differences: found, unsettled: [] })
  })

  it("lets go of what was mended meanwhile", () => {
    assert.deepStrictEqual(judged([cell("a", "score", "1", "2")], []), { differences: [], unsettled: [] })
  })

  it("calls unsettled what differs each time otherwise, or only now", () => {
    const before = [cell("a", "score", "1", "2"), cell("b", "score", "1", "2"), cell("c", "score", null, "2")]
    const now = [cell("a", "score", "1", "3"), cell("b", "score", "2", "2.5"), cell("c", "score", "null", "2"), cell("d", "score", "1", "2")]
    assert.deepStrictEqual(judged(before, now), { differences: [], unsettled: ["a", "b", "c", "d"] })
  })

  it("does not take a value that came by again for one that stayed", () => {
    const up = [cell("a", "total_sent", "10", "11")]
    assert.deepStrictEqual(judged(up, [cell("a", "total_sent", "11", "12")], up), { differences: [], unsettled: ["a"] })
  })

  it("takes a key with one certain cell as different, not as unsettled, and names each key once", () => {
    const certain = cell("a", "score", "1", "2")
    const now = [certain, cell("a", "score_tier", "x", "y"), cell("b", "score", "1", "2"), cell("b", "score_tier", "x", "y")]
    assert.deepStrictEqual(judged([certain], now), { differences: [certain], unsettled: ["b"] })
  })
})
