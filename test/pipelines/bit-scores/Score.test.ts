import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { phases, type Signal, sumsOf, toHundredths, valuesAt, clampHundredths } from "../../../pipelines/bit-scores/Score.ts"
import { tierOf } from "../../../pipelines/Tiers.ts"
import { GroupAccumulator, emptyState } from "../../../src/materialize/GroupState.ts"

const day = 86_400_000_000n
const signal: fc.Arbitrary<Signal> = fc.record({
  component: fc.constantFrom("people", "dol", "blog", "talent_flow", "other"),
  impact: fc.oneof(fc.bigInt({ min: -(10n ** 12n), max: 10n ** 12n }), fc.bigInt()),
  at: fc.bigInt({ min: -(10n ** 18n), max: 10n ** 18n }),
  days: fc.oneof(fc.integer({ min: 1, max: 400 }), fc.constantFrom(1, 90, 2_147_483_647))
})
/** An instant around the signals, or exactly where one begins or ends. */
const instant = (signals: ReadonlyArray<Signal>) =>
  fc.oneof(fc.bigInt({ min: -(10n ** 18n), max: 10n ** 18n }), fc.constantFrom(0n, ...signals.flatMap((signal) => phases(signal).flatMap((at) => [at - 1n, at, at + 1n]))))

/** The definition, signal by signal, over one common denominator: impact × clamp(1 − (t − at) / days, 0, 1). */
const direct = (signals: ReadonlyArray<Signal>, component: string, t: bigint) => {
  let numerator = 0n
  let denominator = 1n
  for (const { at, component: own, days, impact } of signals) {
    if (component !== "total" && component !== own) continue
    const period = BigInt(days) * day
    const left = period - (t - at)
    const clamped = left < 0n ? 0n : left > period ? period : left
    numerator = numerator * period + impact * clamped * denominator
    denominator *= period
  }
  return { numerator, denominator }
}

const phaseAt = (signal: Signal, t: bigint) => phases(signal).filter((end) => end <= t).length

const groupOf = (signals: ReadonlyArray<Signal>, t: bigint): GroupAccumulator => {
  const group = new GroupAccumulator("outreach", "o", emptyState, 0n, null, false)
  for (const signal of signals) group.add({ group: "outreach", key: "o", sums: { signals: 1n, ...sumsOf(signal, phaseAt(signal, t)) } })
  return group
}

const cases = fc.array(signal, { maxLength: 8 }).chain((signals) => fc.tuple(fc.constant(signals), instant(signals)))

describe("the score of some signals", () => {
  it("is exactly what the definition says, at any instant, in total and by component", () => {
    fc.assert(fc.property(cases, ([signals, t]) => {
      const values = valuesAt(groupOf(signals, t), t)
      for (const component of ["total", "people", "dol", "blog", "talent_flow"]) {
        const value = values.get(component) ?? { numerator: 0n, denominator: 1n }
        const expected = direct(signals, component, t)
        expect(value.numerator * expected.denominator).toBe(expected.numerator * value.denominator)
      }
    }), { numRuns: 500 })
  })

  it("stays the same through JSON, whatever came and went before", () => {
    fc.assert(fc.property(cases, fc.array(signal, { maxLength: 4 }), ([signals, t], others) => {
      const group = groupOf([...others, ...signals], t)
      const stored = new GroupAccumulator("outreach", "o", group.toJson(), 0n, null, false)
      for (const other of others) stored.takeBack({ group: "outreach", key: "o", sums: { signals: 1n, ...sumsOf(other, phaseAt(other, t)) } })
      const sorted = (group: GroupAccumulator) => [...group.sums].sort().map((name) => [name, group.sum(name)])
      expect(sorted(stored)).toEqual(sorted(groupOf(signals, t)))
    }))
  })
})

describe("the stored score", () => {
  const tiers = { WARM: 25, HOT: 50, BURNING: 75 }
  it.each<[bigint, bigint, string]>([
    [24_995_000_000n, 2500n, "WARM"],
    [24_994_999_999n, 2499n, "COLD"],
    [25_000_000_000n, 2500n, "WARM"],
    [49_995_000_000n, 5000n, "HOT"],
    [49_994_999_999n, 4999n, "WARM"],
    [74_995_000_000n, 7500n, "BURNING"],
    [74_994_999_999n, 7499n, "HOT"],
    [-5_000_000n, -1n, "COLD"],
    [-4_999_999n, 0n, "COLD"]
  ])("of %s nanopoints is %s hundredths: %s", (nanopoints, hundredths, tier) => {
    expect(toHundredths({ numerator: nanopoints, denominator: 1n })).toBe(hundredths)
    expect(tierOf(tiers, hundredths)).toBe(tier)
  })

  it("ends at floor and ceiling", () => {
    expect([-1n, 0n, 5000n, 10_000n, 10_001n, 10n ** 40n].map((value) => clampHundredths(value, 0, 100))).toEqual([0n, 0n, 5000n, 10_000n, 10_000n, 10_000n])
  })
})
