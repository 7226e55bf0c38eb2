import type { Row } from "./SampleRows.ts"

/**
 * What a hub has from before this product: rows that no source backs, which pipelines leave alone, and legacy rows
 * that somebody copied from their source, which pipelines take over. And values that nobody can score.
 */

export const hubs: ReadonlyArray<Row> = [
  ["company-target", "Company Target", "04.04.01", 1],
  ["dol-filings", "DOL Filings", "04.04.03", 2],
  ["people-intelligence", "People Intelligence", "04.04.02", 3],
  ["talent-flow", "Talent Flow", "04.04.06", 4],
  ["blog-content", "Blog Content", "04.04.05", 5],
  ["outreach-execution", "Outreach Execution", "04.04.04", 6]
].map(([hub_id, hub_name, doctrine_id, waterfall_order]) => ({
  hub_id,
  hub_name,
  doctrine_id,
  classification: "required",
  gates_completion: true,
  waterfall_order,
  core_metric: "BIT_SCORE",
  metric_healthy_threshold: "50",
  metric_critical_threshold: "25"
}))

/** A score without signals, for an outreach that has none. */
export const score = (outreachId: string): Row => ({
  outreach_id: outreachId,
  score: "37.50",
  score_tier: "WARM",
  signal_count: 3,
  people_score: "37.50",
  last_signal_at: "2025-03-01T00:00:00Z",
  last_scored_at: "2025-03-02T00:00:00Z"
})

export const signal = (n: number): Row => ({
  company_unique_id: `old-company-${n % 3}`,
  contact_unique_id: n % 2 === 0 ? `old-contact-${n}` : null,
  signal_type: "website_visit",
  signal_strength: 1 + n,
  source: "legacy_import",
  source_campaign_id: null,
  metadata: { imported: true },
  captured_at: `2024-11-0${1 + n % 8} 12:00:00`
})

export const company = (n: number): Row => ({
  company_unique_id: `old-company-${n}`,
  score: 20 + n,
  signal_count: 2,
  email_score: 5,
  linkedin_score: n % 2 === 0 ? null : 2,
  website_score: 3,
  score_tier: "COLD",
  last_updated: "2024-12-01 00:00:00"
})

export const contact = (n: number): Row => ({
  contact_unique_id: `old-contact-${n}`,
  score: 30 + n,
  signal_count: 4,
  email_opens: 4,
  email_clicks: null,
  linkedin_views: 0,
  replies: 0,
  engagement_tier: "WARM",
  last_updated: "2024-12-01 00:00:00"
})

/** The legacy row that equals a row of `outreach.bit_signals` in all columns that are mirrored. */
export const twin = (source: Row, ofCompany: string): Row => ({
  company_unique_id: ofCompany,
  contact_unique_id: null,
  signal_type: source.signal_type,
  signal_strength: roundHalfAwayFromZero(Number(source.signal_impact)),
  source: source.source_spoke,
  source_campaign_id: null,
  metadata: source.signal_metadata,
  captured_at: String(source.signal_timestamp).replace("Z", "") // UTC, without saying so
})

const roundHalfAwayFromZero = (value: number): number => Math.sign(value) * Math.round(Math.abs(value))

/** Laid over a good signal: what each makes of it can't be scored, or can't be mirrored, or neither. */
export const badValues: ReadonlyArray<Row> = [
  { decay_period_days: 0 },
  { decay_period_days: -30 },
  { signal_impact: "NaN" },
  { signal_impact: "Infinity" },
  { signal_impact: "-Infinity" },
  { signal_impact: "3000000000" }
]
