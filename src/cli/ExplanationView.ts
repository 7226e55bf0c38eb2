import { plot } from "simple-ascii-chart"
import type { ExplainedSignal, Explanation } from "../../pipelines/bit-scores/Explanation.ts"
import { type Settings } from "../../pipelines/bit-scores/Settings.ts"
import { tierOf } from "../../pipelines/Tiers.ts"
import * as Instant from "../domain/Instant.ts"
import { right, textTable } from "./TextTable.ts"

/** The row of `outreach.bit_scores` as it is. */
export interface StoredScore {
  readonly score: string | null
  readonly tier: string | null
  readonly signalCount: number | null
  readonly scoredAt: string | null
}

/** For a person: the verdict first, then what it comes from, then what becomes of it. */
export const render = (outreach: string, found: Explanation, stored: StoredScore | null, rules: Settings, isThere: boolean): string =>
  [
    `${found.score} ${found.tier}   outreach ${outreach}`,
    [...storedLines(found, stored, isThere), nextLine(found)].join("\n"),
    ...(found.signals.length === 0 ? ["It has no signals."] : [signalTable(found.signals), arithmetic(found, rules)]),
    ...(found.forecast.length > 1 ? ["If nothing happens:", chart(found, rules)] : [])
  ].join("\n\n")

const storedLines = (found: Explanation, stored: StoredScore | null, isThere: boolean): ReadonlyArray<string> => {
  if (!isThere) return ["The outreach itself is not there (any more), so no score is stored."]
  if (stored === null) return [found.signals.length === 0 ? "No score is stored." : "No score is stored yet."]
  const same = stored.score === found.score && stored.tier === found.tier
  return [`stored: ${stored.score} ${stored.tier}, computed ${stored.scoredAt === null ? "at an unknown time" : minute(stored.scoredAt)}${same ? "" : "; time has moved it since, or a change is on its way"}`]
}

const nextLine = ({ nextTierChange }: Explanation): string =>
  nextTierChange === null ? "It stays in its tier if nothing happens." : `next: ${nextTierChange.to} at ${second(nextTierChange.at)}, if nothing happens`

const signalTable = (signals: ReadonlyArray<ExplainedSignal>): string =>
  textTable(
    [...["points", "of", "left", "age", "decay"].map(right), "spoke", "component", "type", "signal"],
    signals.map((signal) => [
      signal.state === "bad" ? "-" : signal.points,
      signal.impact,
      signal.state === "bad" ? "-" : percent(signal.left),
      signal.state === "future" ? "future" : `${days(signal.ageDays)} d`,
      `${signal.decayDays} d`,
      signal.spoke,
      signal.component,
      signal.type ?? "-",
      `${signal.signalId}${signal.problem === null ? "" : `  does not count: ${signal.problem}`}`
    ])
  )

const arithmetic = ({ components, score, sum }: Explanation, rules: Settings): string => {
  const parts = Object.entries(components).filter(([, points]) => points !== "0.00").map(([name, points]) => `${name} ${points}`)
  const clamped = sum === score ? "" : `, held between ${rules.floor} and ${rules.ceiling}: ${score}`
  return `${parts.length === 0 ? "nothing is left" : parts.join(" + ")} = ${sum}${clamped}`
}

const chartColumns = 61
const chartRows = 10

/** Days from now on the x axis; the tiers' thresholds on the y axis, each with its name. */
const chart = ({ at, forecast }: Explanation, { tiers }: Settings): string => {
  const start = Instant.parse(at)!
  const points = forecast.map((point): [number, number] => [dayOf(start, point.at), Number(point.score)])
  const top = Math.max(...points.map(([, score]) => score))
  const last = points.at(-1)![0]
  const marks = [0, ...Object.values(tiers).filter((threshold) => threshold <= top), top]
  return plot(points, {
    width: chartColumns,
    height: chartRows,
    yRange: [0, Math.max(top, 1)],
    customXAxisTicks: [0, 0.25, 0.5, 0.75, 1].map((part) => last * part),
    customYAxisTicks: [...new Set(marks)].sort((a, b) => a - b),
    formatter: (value, { axis }) =>
      axis === "y" ? `${tierOf(tiers, BigInt(Math.round(Number(value) * 100)))} ${days(Number(value))}` : `+${days(Number(value))} d`
  }).split("\n").map((line) => line.trimEnd()).filter((line) => line !== "").join("\n")
}

const dayOf = (start: bigint, at: string): number => Number(Instant.parse(at)! - start) / Number(Instant.microsPerDay)
/** What still counts is never shown as nothing. */
const percent = (part: number): string => part > 0 && part < 0.005 ? "<1 %" : `${Math.round(part * 100)} %`
const days = (value: number): string => String(Math.round(value * 10) / 10)
const minute = (iso: string): string => `${iso.slice(0, 16).replace("T", " ")} UTC`
const second = (iso: string): string => `${iso.slice(0, 19).replace("T", " ")} UTC`
