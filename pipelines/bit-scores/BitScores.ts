import { Schema } from "effect"
import { formatScaled, parseScaled } from "../../src/domain/Decimal.ts"
import * as Instant from "../../src/domain/Instant.ts"
import { TableName } from "../../src/domain/TableName.ts"
import { badInput, entries, type Group, type Pipeline, trigger } from "../../src/materialize/Pipeline.ts"
import { tierOf } from "../Tiers.ts"
import { Uuid } from "../Uuid.ts"
import { nextScoringAt } from "./NextScoring.ts"
import { componentsBySpoke, Settings } from "./Settings.ts"
import { announceTier } from "./TierChanged.ts"
import { clampHundredths, impactScale, phases, type Signal, sumsOf, toHundredths, valuesAt } from "./Score.ts"

/** `outreach.bit_signals` → `outreach.bit_scores`: one decaying score per outreach, and its components. */
export const bitScores = (settings: unknown): Pipeline => {
  const rules = Schema.decodeUnknownSync(Settings)(settings)
  return {
    name: "bit-scores",
    version: 1,
    settings: rules,
    sources: [
      signals(componentsBySpoke(rules)),
      // A score whose outreach was not there yet is written when it appears; one that somebody deleted, if it is still due.
      trigger({ table: TableName("outreach", "outreach"), group: "outreach", on: "appear" }),
      trigger({ table: TableName("outreach", "bit_scores"), group: "outreach", on: "disappear" })
    ],
    groups: { outreach: scores(rules) }
  }
}

const signals = (componentOf: ReadonlyMap<string, string>) => {
  const signalOf = (value: { readonly spoke: string; readonly impact: string; readonly at: string; readonly days: number; readonly correlation?: string }): Signal => ({
    component: componentOf.get(value.spoke) ?? "other",
    impact: BigInt(value.impact),
    at: BigInt(value.at),
    days: value.days
  })
  return entries({
    table: TableName("outreach", "bit_signals"),
    row: Schema.Struct({
      outreach_id: Uuid,
      signal_impact: Schema.String,
      source_spoke: Schema.String,
      decay_period_days: Schema.Int,
      signal_timestamp: Schema.String,
      correlation_id: Schema.optional(Schema.NullOr(Schema.String))
    }),
    entry: (row) => {
      const impact = parseScaled(row.signal_impact, impactScale)
      const at = Instant.parse(row.signal_timestamp)
      if (impact === undefined) return badInput("impact-not-finite", "signal_impact is not a finite number")
      if (row.decay_period_days <= 0) return badInput("decay-not-positive", "decay_period_days must be greater than 0")
      if (at === undefined) return badInput("timestamp-not-readable", "signal_timestamp is not an instant that can be read")
      return {
        value: {
          outreach: row.outreach_id,
          spoke: row.source_spoke,
          impact: String(impact),
          at: String(at),
          days: row.decay_period_days,
          ...typeof row.correlation_id === "string" ? { correlation: row.correlation_id } : {}
        }
      }
    },
    correlation: (value) => value.correlation ?? null,
    phases: (value) => phases(signalOf(value)),
    contribute: (value, _, phase) => [{
      group: "outreach",
      key: value.outreach,
      sums: { signals: 1n, ...sumsOf(signalOf(value), phase) },
      bags: { at: Instant.toSortable(BigInt(value.at)) }
    }]
  })
}

const scores = (rules: Settings): Group => ({
  target: {
    table: TableName("outreach", "bit_scores"),
    key: { outreach_id: "uuid" },
    columns: {
      score: "numeric",
      score_tier: "text",
      signal_count: "integer",
      people_score: "numeric",
      dol_score: "numeric",
      blog_score: "numeric",
      talent_flow_score: "numeric",
      last_signal_at: "timestamptz"
    },
    stamps: { last_scored_at: { type: "timestamptz", value: "evaluated" }, updated_at: { type: "timestamptz", value: "written" } },
    insert: true,
    parent: { table: TableName("outreach", "outreach"), column: "outreach_id" },
    backing: { table: TableName("outreach", "bit_signals"), column: "outreach_id" },
    restSeconds: 30 // an archive in several transactions deletes the signals some time after the scores
  },
  announce: announceTier,
  render: (state, now) => {
    const values = valuesAt(state, now)
    const hundredths = (component: string) => toHundredths(values.get(component) ?? { numerator: 0n, denominator: 1n })
    const score = clampHundredths(hundredths("total"), rules.floor, rules.ceiling)
    const { max } = state.bag("at")
    const count = Number(state.sum("signals"))
    return {
      backed: count > 0,
      nextAt: nextScoringAt(state, rules, now, score),
      columns: {
        score: formatScaled(score, 2),
        score_tier: tierOf(rules.tiers, score),
        signal_count: count,
        people_score: formatScaled(hundredths("people"), 2),
        dol_score: formatScaled(hundredths("dol"), 2),
        blog_score: formatScaled(hundredths("blog"), 2),
        talent_flow_score: formatScaled(hundredths("talent_flow"), 2),
        last_signal_at: max === null ? null : Instant.toSqlWithZone(Instant.ofSortable(max))
      }
    }
  }
})
