import { divideRounded } from "../../src/domain/Decimal.ts"
import { microsPerDay } from "../../src/domain/Instant.ts"
import type { Contribution, GroupState } from "../../src/materialize/Pipeline.ts"

/**
 * The arithmetic of decay, exact. A signal's value falls linearly from its impact to 0 over its decay period:
 * `value(t) = impact × clamp(1 − (t − at) / days, 0, 1)`. While signals are decaying, all that share a component and a period are
 * one line, `(S × P − (t × S − M)) / P` with S = Σ impact, M = Σ impact × at and P the period in µs; so a component
 * needs two sums per period, however many signals there are. Impacts are in nanopoints, instants in µs.
 */
export interface Signal {
  readonly component: string
  readonly impact: bigint
  readonly at: bigint
  readonly days: number
}

/** Digits behind the point that an impact keeps. */
export const impactScale = 9

/** When a signal starts to decay, and when nothing is left of it: phase 0 is the future, 1 decays, 2 is over. */
export const phases = ({ at, days }: Signal): readonly [bigint, bigint] => [at, at + BigInt(days) * microsPerDay]

/** What a signal adds to the sums of its outreach in a phase: `<component>:<days>:impact` and `:moment`, or `<component>:full:impact`. */
export const sumsOf = ({ at, component, days, impact }: Signal, phase: number): NonNullable<Contribution["sums"]> => {
  if (phase === 0) return { [`${component}:full:impact`]: impact }
  if (phase === 1) return { [`${component}:${days}:impact`]: impact, [`${component}:${days}:moment`]: impact * at }
  return {}
}

/** Each component's value at `now`, and the total's under `total`, as exact fractions of nanopoints. */
export const valuesAt = (state: GroupState, now: bigint): ReadonlyMap<string, Fraction> => {
  const values = new Map<string, Fraction>()
  for (const line of linesOf(state)) {
    const value = lineAt(state, line, now)
    for (const name of [line.component, "total"]) values.set(name, sumOf(values.get(name) ?? zero, value))
  }
  return values
}

/** How fast each component and the `total` move, in nanopoints per µs; until the next signal changes phase they keep to it. */
export const slopesOf = (state: GroupState): ReadonlyMap<string, Fraction> => {
  const slopes = new Map<string, Fraction>()
  for (const { component, days, name } of linesOf(state)) {
    if (days === "full") continue
    const slope = { numerator: -state.sum(`${name}:impact`), denominator: BigInt(days) * microsPerDay }
    for (const name of [component, "total"]) slopes.set(name, sumOf(slopes.get(name) ?? zero, slope))
  }
  return slopes
}

interface Line {
  readonly name: string
  readonly component: string
  /** `full`: not decaying yet. */
  readonly days: string
}

const linesOf = (state: GroupState): Iterable<Line> => {
  const lines = new Map<string, Line>()
  for (const sum of state.sums) {
    const [component, days] = sum.split(":")
    const name = `${component}:${days}`
    if (days !== undefined) lines.set(name, { name, component: component!, days })
  }
  return lines.values()
}

const lineAt = (state: GroupState, { days, name }: Line, now: bigint): Fraction => {
  const impact = state.sum(`${name}:impact`)
  if (days === "full") return { numerator: impact, denominator: 1n }
  const period = BigInt(days) * microsPerDay
  return { numerator: impact * period - now * impact + state.sum(`${name}:moment`), denominator: period }
}

/** An exact rational number; the denominator is positive. */
export interface Fraction {
  readonly numerator: bigint
  readonly denominator: bigint
}

const zero: Fraction = { numerator: 0n, denominator: 1n }

const sumOf = (a: Fraction, b: Fraction): Fraction =>
  a.denominator === b.denominator
    ? { numerator: a.numerator + b.numerator, denominator: a.denominator }
    : { numerator: a.numerator * b.denominator + b.numerator * a.denominator, denominator: a.denominator * b.denominator }

/** Nanopoints → hundredths of a point, half away from zero. */
export const toHundredths = ({ denominator, numerator }: Fraction): bigint => divideRounded(numerator, denominator * 10_000_000n)

/** Between floor and ceiling (points). */
export const clampHundredths = (value: bigint, floor: number, ceiling: number): bigint => {
  const [low, high] = [BigInt(Math.round(floor * 100)), BigInt(Math.round(ceiling * 100))]
  return value < low ? low : value > high ? high : value
}
