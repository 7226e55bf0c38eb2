import { Schema } from "effect"
import { parseScaled } from "../../src/domain/Decimal.ts"
import * as Instant from "../../src/domain/Instant.ts"
import { TableName } from "../../src/domain/TableName.ts"
import { badInput, type Columns, type Contribution, entries, type SqlType } from "../../src/materialize/Pipeline.ts"
import { Uuid } from "../Uuid.ts"
import { channelOf, type Settings, weightOf } from "./Settings.ts"

export const mirroredColumns: Readonly<Record<string, SqlType>> = {
  company_unique_id: "text",
  contact_unique_id: "text",
  signal_type: "text",
  signal_strength: "integer",
  source: "text",
  source_campaign_id: "text",
  metadata: "jsonb",
  captured_at: "timestamp"
}

/**
 * What state keeps of a mirrored row: what it takes to make its columns again, under other settings, too. Its metadata are
 * copied from the source row.
 */
interface MirroredRow {
  /** The company that the row itself names; null: its outreach's. */
  readonly company: string | null
  readonly contact: string | null
  readonly type: string
  /** null: the weight of its type. */
  readonly strength: number | null
  readonly source: string
  readonly campaign: string | null
  /** µs, as text. */
  readonly at: string
}

const strengthOf = (rules: Settings, row: MirroredRow): number => row.strength ?? weightOf(rules, row.type)

const mirrorOf = (rules: Settings) => (row: MirroredRow, link: string | null): Columns => ({
  company_unique_id: row.company ?? link,
  contact_unique_id: row.contact,
  signal_type: row.type,
  signal_strength: strengthOf(rules, row),
  source: row.source,
  source_campaign_id: row.campaign,
  captured_at: Instant.toSql(BigInt(row.at))
})

/** A row whose company is unknown counts for none. */
const toCompany = (rules: Settings, row: MirroredRow, link: string | null): ReadonlyArray<Contribution> => {
  const company = row.company ?? link
  if (company === null) return []
  const channel = channelOf(rules, row.type)
  return [{
    group: "company",
    key: company,
    sums: { signals: 1n, ...(channel === undefined ? {} : { [channel]: BigInt(strengthOf(rules, row)) }) },
    bags: { at: Instant.toSortable(BigInt(row.at)) }
  }]
}

export const signals = (rules: Settings) =>
  entries({
    table: TableName("outreach", "bit_signals"),
    row: Schema.Struct({
      outreach_id: Uuid,
      signal_type: Schema.String,
      signal_impact: Schema.String,
      source_spoke: Schema.String,
      signal_timestamp: Schema.String
    }),
    entry: (row) => {
      const strength = parseScaled(row.signal_impact, 0)
      const at = Instant.parse(row.signal_timestamp)
      if (strength === undefined) return badInput("impact-not-finite", "signal_impact is not a finite number")
      if (strength > maxInteger || strength < -maxInteger - 1n) return badInput("impact-beyond-integer", "signal_impact does not fit into an integer")
      if (at === undefined) return badInput("timestamp-not-readable", "signal_timestamp is not an instant that can be read")
      const value: MirroredRow = {
        company: null,
        contact: null,
        type: row.signal_type,
        strength: Number(strength),
        source: row.source_spoke,
        campaign: null,
        at: String(at)
      }
      return { value, link: row.outreach_id }
    },
    contribute: (row, link) => toCompany(rules, row, link),
    mirror: mirrorOf(rules),
    carry: { key: { column: "signal_id", type: "uuid" }, columns: { metadata: "signal_metadata" } }
  })

export const engagementEvents = (rules: Settings) =>
  entries({
    table: TableName("outreach", "engagement_events"),
    row: Schema.Struct({
      person_id: Schema.NullOr(Uuid),
      outreach_id: Schema.NullOr(Uuid),
      company_unique_id: Schema.NullOr(Schema.String),
      event_type: Schema.String,
      event_ts: Schema.String,
      source_system: Schema.NullOr(Schema.String),
      source_campaign_id: Schema.NullOr(Schema.String),
      is_duplicate: Schema.NullOr(Schema.Boolean)
    }),
    entry: (row) => {
      if (row.is_duplicate === true) return null
      const at = Instant.parse(row.event_ts)
      if (at === undefined) return badInput("timestamp-not-readable", "event_ts is not an instant that can be read")
      const value: MirroredRow = {
        company: row.company_unique_id,
        contact: row.person_id,
        type: row.event_type,
        strength: null,
        source: row.source_system ?? "unknown",
        campaign: row.source_campaign_id,
        at: String(at)
      }
      return { value, link: row.outreach_id ?? undefined }
    },
    contribute: (row, link) => [...toCompany(rules, row, link), ...toContact(rules, row)],
    mirror: mirrorOf(rules),
    carry: { key: { column: "event_id", type: "uuid" }, columns: { metadata: "metadata" } }
  })

const toContact = (rules: Settings, row: MirroredRow): ReadonlyArray<Contribution> =>
  row.contact === null ? [] : [{
    group: "contact",
    key: row.contact,
    sums: { signals: 1n, weight: BigInt(strengthOf(rules, row)), [`type:${row.type}`]: 1n }
  }]

/** The scores that the bit-scores pipeline (or whoever) keeps, as a company sees them: the highest of its outreaches counts. */
export const bitScoreRows = entries({
  table: TableName("outreach", "bit_scores"),
  row: Schema.Struct({ outreach_id: Uuid, score: Schema.String, score_tier: Schema.String }),
  entry: (row) => {
    const scaled = parseScaled(row.score, scoreScale)
    if (scaled === undefined) return badInput("score-not-finite", "score is not a finite number")
    if (scaled >= scoreOffset || scaled <= -scoreOffset) return badInput("score-beyond-measure", "score has more than 18 digits before its point")
    return { value: { score: String(scaled), tier: row.score_tier }, link: row.outreach_id }
  },
  contribute: ({ score, tier }, company) =>
    company === null ? [] : [{ group: "company", key: company, bags: { score: `${sortableScore(BigInt(score))} ${tier}` } }]
})

/** Digits behind the point that a score keeps here. */
export const scoreScale = 6
export const maxInteger = 2_147_483_647n
const scoreOffset = 10n ** 24n

const sortableScore = (scaled: bigint): string => (scaled + scoreOffset).toString().padStart(25, "0")

/** A member of the bag of scores → the score (×10^scoreScale) and its tier. */
export const readScore = (member: string): { readonly scaled: bigint; readonly tier: string } => ({
  scaled: BigInt(member.slice(0, 25)) - scoreOffset,
  tier: member.slice(26)
})
