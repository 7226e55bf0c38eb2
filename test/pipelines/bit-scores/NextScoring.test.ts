import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import { nextScoringAt } from "../../../pipelines/bit-scores/NextScoring.ts"
import { clampHundredths, phases, type Signal, sumsOf, toHundredths, valuesAt } from "../../../pipelines/bit-scores/Score.ts"
import { tierOf } from "../../../pipelines/Tiers.ts"
import { microsPerDay } from "../../../src/domain/Instant.ts"
import { emptyState, GroupAccumulator } from "../../../src/materialize/GroupState.ts"

const bounds = { floor: 0, ceiling: 100, tiers: { WARM: 25, HOT: 50, BURNING: 75 } }
const start = 1_790_000_000_000_000n
const hour = microsPerDay / 24n

/** The score (hundredths) of signals at an instant, by the sums that the engine would keep then. */
const scoreAt = (signals: ReadonlyArray<Signal>, now: bigint) => {
  const state = stateAt(signals, now)
  return clampHundredths(toHundredths(valuesAt(state, now).get("total") ?? { numerator: 0n, denominator: 1n }), bounds.floor, bounds.ceiling)
}

const stateAt = (signals: ReadonlyArray<Signal>, now: bigint): GroupAccumulator => {
  const state = new GroupAccumulator("outreach", "o", emptyState, 0n, null, true)
  for (const signal of signals) {
    const phase = phases(signal).filter((end) => end <= now).length
    state.add({ group: "outreach", key: "o", sums: sumsOf(signal, phase) })
  }
  return state
}

/** When it must be looked at again: by itself, or because a signal changes phase. */
const nextLook = (signals: ReadonlyArray<Signal>, now: bigint): bigint | null => {
  const due = signals.flatMap((signal) => phases(signal).filter((end) => end > now))
  const next = nextScoringAt(stateAt(signals, now), bounds, now, scoreAt(signals, now))
  return [...due, ...(next === null ? [] : [next])].reduce<bigint | null>((a, b) => (a === null || b < a ? b : a), null)
}

const points = (value: number): bigint => BigInt(Math.round(value * 1e9))

describe("the next scoring", () => {
  it("is the instant at which a falling score leaves its tier", () => {
    // 50 points over 100 days from start: at 24.995 points it is no longer WARM.
    const signals = [{ component: "people", impact: points(50), at: start, days: 100 }]
    const almost = start + microsPerDay * 50n // 25 points
    const next = nextLook(signals, almost)!
    expect(tierOf(bounds.tiers, scoreAt(signals, next))).toBe("COLD")
    expect(tierOf(bounds.tiers, scoreAt(signals, next - 1n))).toBe("WARM")
  })

  it("is the instant at which a rising score enters a tier", () => {
    const signals = [
      { component: "people", impact: points(60), at: start + microsPerDay * 1000n, days: 10 }, // the future: full value
      { component: "dol", impact: points(-40), at: start, days: 10 }
    ]
    let now = start
    while (tierOf(bounds.tiers, scoreAt(signals, now)) === "COLD") now = nextLook(signals, now)!
    expect(tierOf(bounds.tiers, scoreAt(signals, now - 1n))).toBe("COLD")
  })

  it("is never for what does not move", () => {
    expect(nextLook([], start)).toBeNull()
    expect(nextLook([{ component: "people", impact: points(10), at: start - microsPerDay * 9n, days: 1 }], start)).toBeNull()
  })

  it("keeps tier and drift within bounds over a year, whatever the signals", () => {
    const signal = fc.record({
      component: fc.constantFrom("people", "dol", "other"),
      impact: fc.integer({ min: -80_000, max: 80_000 }).map((thousandths) => BigInt(thousandths) * 1_000_000n),
      at: fc.integer({ min: -100 * 24, max: 100 * 24 }).map((hours) => start + BigInt(hours) * hour),
      days: fc.integer({ min: 1, max: 120 })
    })
    fc.assert(fc.property(fc.array(signal, { maxLength: 6 }), fc.array(fc.bigInt(0n, 300n * 24n * hour), { minLength: 5, maxLength: 5 }), (signals, probes) => {
      const stored = new Map<bigint, bigint>() // when → score written
      let looks = 0
      for (let now: bigint | null = start; now !== null && now < start + microsPerDay * 365n; now = nextLook(signals, now)) {
        stored.set(now, scoreAt(signals, now))
        expect(++looks).toBeLessThan(3_000)
      }
      const times = [...stored.keys()]
      for (const probe of probes) {
        const at = start + probe
        const last = times.filter((time) => time <= at).at(-1)!
        const [written, actual] = [stored.get(last)!, scoreAt(signals, at)]
        expect(tierOf(bounds.tiers, written)).toBe(tierOf(bounds.tiers, actual))
        expect(Math.abs(Number(written - actual))).toBeLessThanOrEqual(100)
        if (written !== actual) expect(at - last).toBeLessThanOrEqual(microsPerDay)
      }
    }), { numRuns: 100 })
  })
})
