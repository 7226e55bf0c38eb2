import * as fc from "fast-check"
import { assert, describe, it } from "vitest"
import { divideRounded, parseScaled } from "../../../src/domain/Decimal.ts"
import * as Instant from "../../../src/domain/Instant.ts"
import { explain, type SignalRow } from "../../../pipelines/bit-scores/Explanation.ts"
import { tierOf } from "../../../pipelines/Tiers.ts"

const rules = {
  floor: 0,
  ceiling: 100,
  tiers: { WARM: 25, HOT: 50, BURNING: 75 },
  components: { people: ["people", "people_node"], dol: ["dol"], blog: ["blog"], talent_flow: ["talent_flow"] }
}
const now = Instant.parse("2026-11-22T12:00:00.000000Z")!
const isoOf = (micros: bigint): string => `${Instant.toSql(micros).replace(" ", "T")}Z`

const signal = (over: Partial<SignalRow> = {}): SignalRow => ({
  signal_id: "7b0c1f2e-0000-4000-8000-000000000001",
  signal_type: "renewal",
  source_spoke: "people",
  signal_impact: "40",
  signal_timestamp: "2026-11-12T12:00:00.000000Z",
  decay_period_days: 20,
  correlation_id: null,
  ...over
})

const anySignal = fc.record({
  impact: fc.integer({ min: -4_000, max: 6_000 }),
  at: fc.bigInt({ min: now - 120n * Instant.microsPerDay, max: now + 20n * Instant.microsPerDay }),
  days: fc.integer({ min: 1, max: 120 }),
  spoke: fc.constantFrom("people", "people_node", "dol", "blog", "talent_flow", "company_target")
}).map(({ at, days, impact, spoke }) =>
  signal({ signal_impact: String(impact / 100), signal_timestamp: isoOf(at), decay_period_days: days, source_spoke: spoke }))

/** Straight from domain.md, one signal after the other, over one common denominator. */
const directScore = (rows: ReadonlyArray<SignalRow>, at: bigint): bigint => {
  let [numerator, denominator] = [0n, 1n]
  for (const row of rows) {
    const period = BigInt(row.decay_period_days) * Instant.microsPerDay
    const age = at - Instant.parse(row.signal_timestamp)!
    const left = age < 0n ? period : age > period ? 0n : period - age
    numerator = numerator * period + parseScaled(row.signal_impact, 9)! * left * denominator
    denominator *= period
  }
  const hundredths = divideRounded(numerator, denominator * 10_000_000n)
  return hundredths < 0n ? 0n : hundredths > 10_000n ? 10_000n : hundredths
}

describe("an explanation", () => {
  it("has the score that the definition gives, now and at each instant of the forecast", () => {
    fc.assert(fc.property(fc.array(anySignal, { maxLength: 8 }), (rows) => {
      const found = explain(rows, rules, now, 7)
      for (const { at, score, tier } of [found, ...found.forecast]) {
        const direct = directScore(rows, Instant.parse(at)!)
        assert.strictEqual(parseScaled(score, 2), direct)
        assert.strictEqual(tier, tierOf(rules.tiers, direct))
      }
    }))
  })

  it("names the first instant of another tier, to the microsecond, or that there is none", () => {
    const tierAt = (rows: ReadonlyArray<SignalRow>, at: bigint) => tierOf(rules.tiers, directScore(rows, at))
    let changes = 0
    fc.assert(fc.property(fc.array(anySignal, { minLength: 1, maxLength: 8 }), fc.integer({ min: 1, max: 50 }), (rows, parts) => {
      const { nextTierChange, tier } = explain(rows, rules, now, 1)
      const end = nextTierChange === null ? now + 200n * Instant.microsPerDay : Instant.parse(nextTierChange.at)!
      for (let part = 0; part < parts; part++) assert.strictEqual(tierAt(rows, now + ((end - 1n - now) * BigInt(part)) / BigInt(parts)), tier)
      if (nextTierChange === null) return
      changes++
      assert.strictEqual(tierAt(rows, end - 1n), nextTierChange.from)
      assert.strictEqual(tierAt(rows, end), nextTierChange.to)
      assert.notStrictEqual(nextTierChange.to, nextTierChange.from)
    }), { numRuns: 200 })
    assert.isAbove(changes, 20)
  })

  it("says of each signal what is left of it", () => {
    const [half, future, over] = explain([
      signal(),
      signal({ signal_timestamp: "2026-12-01T00:00:00.000000Z" }),
      signal({ signal_timestamp: "2026-01-01T00:00:00.000000Z" })
    ], rules, now).signals
    assert.deepInclude(half, { state: "decaying", left: 0.5, points: "20.00", ageDays: 10, component: "people" })
    assert.deepInclude(future, { state: "future", left: 1, points: "40.00" })
    assert.deepInclude(over, { state: "over", left: 0, points: "0.00" })
  })

  it("names what does not count, and why", () => {
    const found = explain([signal(), signal({ decay_period_days: 0 }), signal({ signal_impact: "NaN" }), signal({ source_spoke: "company_target" })], rules, now)
    assert.deepEqual(found.signals.map(({ problem }) => problem), [
      null, "its decay period is not positive", "its impact is not a finite number", null
    ])
    assert.deepInclude(found.components, { people: "20.00", other: "20.00" })
    assert.strictEqual(found.score, "40.00")
  })

  it("of nothing is nothing", () => {
    const found = explain([], rules, now)
    assert.deepInclude(found, { score: "0.00", tier: "COLD", nextTierChange: null })
    assert.strictEqual(found.forecast.length, 1)
  })
})
