import { formatScaled, parseScaled } from "../../src/domain/Decimal.ts"
import * as Instant from "../../src/domain/Instant.ts"
import type { GroupState } from "../../src/materialize/Pipeline.ts"
import { tierOf } from "../Tiers.ts"
import { componentsBySpoke, type Settings } from "./Settings.ts"
import { clampHundredths, impactScale, phases, type Signal, sumsOf, toHundredths, valuesAt } from "./Score.ts"

/** A row of `outreach.bit_signals`, its values as a topic has them. */
export interface SignalRow {
  readonly signal_id: string
  readonly signal_type: string | null
  readonly source_spoke: string
  readonly signal_impact: string
  /** ISO 8601 in UTC, or an infinity. */
  readonly signal_timestamp: string
  readonly decay_period_days: number
  readonly correlation_id: string | null
}

/** One signal's part in a score; points have two decimals. */
export interface ExplainedSignal {
  readonly signalId: string
  readonly type: string | null
  readonly spoke: string
  /** `other`: it counts in the total only. */
  readonly component: string
  readonly correlationId: string | null
  readonly impact: string
  readonly at: string
  readonly ageDays: number
  readonly decayDays: number
  readonly state: "future" | "decaying" | "over" | "bad"
  /** From 1 to 0; of a bad signal 0. */
  readonly left: number
  readonly points: string
  /** Why it does not count; null: it does. */
  readonly problem: string | null
}

export interface Forecast {
  /** ISO 8601, UTC. */
  readonly at: string
  readonly score: string
  readonly tier: string
}

/** Why a score is what it is, and what becomes of it if no signal comes, changes or goes. */
export interface Explanation {
  readonly at: string
  readonly signals: ReadonlyArray<ExplainedSignal>
  readonly components: Readonly<Record<string, string>>
  /** Before and after the clamp. */
  readonly sum: string
  readonly score: string
  readonly tier: string
  /** null: it stays in its tier. */
  readonly nextTierChange: { readonly at: string; readonly from: string; readonly to: string } | null
  /** At equal steps from now until nothing decays any more; one point if nothing does. */
  readonly forecast: ReadonlyArray<Forecast>
}

/** `now` in µs. The arithmetic is the pipeline's own, exact to the last digit. */
export const explain = (rows: ReadonlyArray<SignalRow>, rules: Settings, now: bigint, steps = 60): Explanation => {
  const componentOf = componentsBySpoke(rules)
  const read = rows.map((row) => ({ row, signal: signalOf(row, componentOf) }))
  const signals = read.map(({ signal }) => signal).filter((signal) => typeof signal !== "string")
  const scoreAt = scorer(signals, rules)
  const values = valuesAt(stateAt(signals, now), now)
  const points = (name: string) => formatScaled(toHundredths(values.get(name) ?? { numerator: 0n, denominator: 1n }), 2)
  const moments = signals.flatMap(phases).filter((moment) => moment > now && moment < Instant.infinity).sort(ascending)
  const shown = (at: bigint): Forecast => ({ at: iso(at), score: formatScaled(scoreAt(at), 2), tier: tierOf(rules.tiers, scoreAt(at)) })
  return {
    at: iso(now),
    signals: read.map(({ row, signal }) => explained(row, signal, now, componentOf)),
    components: Object.fromEntries(["people", "dol", "blog", "talent_flow", "other"].map((name) => [name, points(name)])),
    sum: points("total"),
    score: formatScaled(scoreAt(now), 2),
    tier: tierOf(rules.tiers, scoreAt(now)),
    nextTierChange: nextTierChange(scoreAt, rules, now, moments),
    forecast: instants(now, moments.at(-1), steps).map(shown)
  }
}

/** The signal, or why the pipeline sets it aside. */
const signalOf = (row: SignalRow, componentOf: ReadonlyMap<string, string>): Signal | string => {
  const impact = parseScaled(row.signal_impact, impactScale)
  const at = Instant.parse(row.signal_timestamp)
  if (impact === undefined) return "its impact is not a finite number"
  if (row.decay_period_days <= 0) return "its decay period is not positive"
  if (at === undefined) return "its timestamp can't be read"
  return { component: componentOf.get(row.source_spoke) ?? "other", impact, at, days: row.decay_period_days }
}

const explained = (row: SignalRow, signal: Signal | string, now: bigint, componentOf: ReadonlyMap<string, string>): ExplainedSignal => {
  const isBad = typeof signal === "string"
  const phase = isBad ? 2 : phaseAt(signal, now)
  const value = isBad ? undefined : valuesAt(stateAt([signal], now), now).get("total")
  const age = isBad ? 0 : daysBetween(signal.at, now)
  return {
    signalId: row.signal_id,
    type: row.signal_type,
    spoke: row.source_spoke,
    component: componentOf.get(row.source_spoke) ?? "other",
    correlationId: row.correlation_id,
    impact: row.signal_impact,
    at: row.signal_timestamp,
    ageDays: age,
    decayDays: row.decay_period_days,
    state: isBad ? "bad" : (["future", "decaying", "over"] as const)[phase]!,
    left: phase === 0 ? 1 : phase === 2 ? 0 : 1 - age / row.decay_period_days,
    points: value === undefined ? "0.00" : formatScaled(toHundredths(value), 2),
    problem: isBad ? signal : null
  }
}

const phaseAt = (signal: Signal, at: bigint): 0 | 1 | 2 => phases(signal).filter((moment) => moment <= at).length as 0 | 1 | 2

/** What the pipeline would know of an outreach with these signals. */
const stateAt = (signals: ReadonlyArray<Signal>, at: bigint): GroupState => {
  const sums = new Map<string, bigint>()
  for (const signal of signals) {
    for (const [name, sum] of Object.entries(sumsOf(signal, phaseAt(signal, at)))) sums.set(name, (sums.get(name) ?? 0n) + sum)
  }
  return { sum: (name) => sums.get(name) ?? 0n, sums: sums.keys().toArray(), bag: () => ({ distinct: 0, max: null }) }
}

/** The score in hundredths at any instant. */
const scorer = (signals: ReadonlyArray<Signal>, rules: Settings) => (at: bigint): bigint =>
  clampHundredths(toHundredths(valuesAt(stateAt(signals, at), at).get("total") ?? { numerator: 0n, denominator: 1n }), rules.floor, rules.ceiling)

/** Between two moments at which a signal changes phase the score only rises or only falls, so the first instant of another tier is found by halving. */
const nextTierChange = (scoreAt: (at: bigint) => bigint, rules: Settings, now: bigint, moments: ReadonlyArray<bigint>): Explanation["nextTierChange"] => {
  const tierAt = (at: bigint) => tierOf(rules.tiers, scoreAt(at))
  const from = tierAt(now)
  const end = moments.findIndex((moment) => tierAt(moment) !== from)
  if (end === -1) return null
  const at = halve(moments[end - 1] ?? now, moments[end]!, (at) => tierAt(at) !== from)
  return { at: iso(at), from, to: tierAt(at) }
}

/** The first instant in (low, high] for which `is` holds; it holds at `high` and not at `low`. */
const halve = (low: bigint, high: bigint, is: (at: bigint) => boolean): bigint => {
  while (high - low > 1n) {
    const middle = (low + high) / 2n
    if (is(middle)) high = middle
    else low = middle
  }
  return high
}

const instants = (from: bigint, to: bigint | undefined, steps: number): ReadonlyArray<bigint> =>
  to === undefined ? [from] : Array.from({ length: steps + 1 }, (_, step) => from + ((to - from) * BigInt(step)) / BigInt(steps))

const ascending = (a: bigint, b: bigint): number => (a < b ? -1 : a > b ? 1 : 0)

const daysBetween = (from: bigint, to: bigint): number => Number((to - from) / 1_000n) / 86_400_000

/** To the microsecond, as the topics write it. */
const iso = (micros: bigint): string => Instant.toSql(micros).replace(" ", "T") + "Z"
