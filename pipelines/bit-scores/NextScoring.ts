import { microsPerDay } from "../../src/domain/Instant.ts"
import type { GroupState } from "../../src/materialize/Pipeline.ts"
import type { Tiers } from "../Tiers.ts"
import { type Fraction, slopesOf, valuesAt } from "./Score.ts"

export interface Bounds {
  readonly floor: number
  readonly ceiling: number
  readonly tiers: Tiers
}

/**
 * When a score that was stored at `now` must be looked at again though no signal comes: the first instant (µs) at which its tier
 * changes, at which it is about to be off by more than a point, or after which it would have been off at all for a day.
 * null: it does not move. Between phases the sum is linear, so each is a division.
 */
export const nextScoringAt = (state: GroupState, bounds: Bounds, now: bigint, stored: bigint): bigint | null => {
  const slopes = slopesOf(state)
  const slope = slopes.get("total") ?? still
  const value = valuesAt(state, now).get("total") ?? still
  const instants = targetsOf(slope, bounds, stored).map((target) => now + timeTo(value, slope, target))
  if ([...slopes.values()].some(({ numerator }) => numerator !== 0n)) instants.push(now + refreshAfter)
  return instants.length === 0 ? null : instants.reduce((a, b) => (a < b ? a : b))
}

const still: Fraction = { numerator: 0n, denominator: 1n }

/** domain.md allows 24 h. */
const refreshAfter = (microsPerDay * 23n) / 24n
/** In hundredths; domain.md allows a whole point. */
const maxDrift = 95n
const hundredth = 10_000_000n // nanopoints

/** A value (nanopoints) that matters when the sum gets there, or (`below`) past it. */
interface Target {
  readonly value: bigint
  readonly below: boolean
}

/** Where the tier ends, and where the drift does; none beyond the clamp. */
const targetsOf = (slope: Fraction, { ceiling, floor, tiers }: Bounds, stored: bigint): ReadonlyArray<Target> => {
  if (slope.numerator === 0n) return []
  const [low, high] = [hundredths(floor), hundredths(ceiling)]
  const thresholds = [tiers.WARM, tiers.HOT, tiers.BURNING].map(hundredths).filter((threshold) => threshold >= low && threshold <= high)
  if (slope.numerator < 0n) {
    const end = thresholds.filter((threshold) => threshold <= stored).at(-1)
    return [...tierEnd(end, true), ...(stored - maxDrift < low ? [] : [driftEnd(stored - maxDrift)])]
  }
  const end = thresholds.find((threshold) => threshold > stored)
  return [...tierEnd(end, false), ...(stored + maxDrift > high ? [] : [driftEnd(stored + maxDrift)])]
}

/** The tier is of the rounded score: WARM lasts down to 24.995 and ends below it; it begins at 24.995. */
const tierEnd = (threshold: bigint | undefined, below: boolean): ReadonlyArray<Target> =>
  threshold === undefined ? [] : [{ value: threshold * hundredth - hundredth / 2n, below }]

const driftEnd = (hundredths: bigint): Target => ({ value: hundredths * hundredth, below: false })

const hundredths = (points: number): bigint => BigInt(Math.round(points * 100))

/** The first whole µs at which a line has reached a target that lies in its direction; at least one. */
const timeTo = (value: Fraction, slope: Fraction, target: Target): bigint => {
  const distance = target.value * value.denominator - value.numerator
  const numerator = distance * slope.denominator
  const denominator = slope.numerator * value.denominator
  const [n, d] = denominator < 0n ? [-numerator, -denominator] : [numerator, denominator]
  const micros = n <= 0n ? 0n : target.below ? n / d + 1n : (n + d - 1n) / d
  return micros > 0n ? micros : 1n
}
