import { Effect } from "effect"
import { Postgres, type Sql } from "../../../src/connections/Postgres.ts"
import { TableName } from "../../../src/domain/TableName.ts"
import { insertAll } from "../../../src/embedded/hub/Insert.ts"

/**
 * Fills every aggregate of a sample hub with what the domain's definitions say, computed here in TypeScript row by row:
 * neither the oracles' SQL nor the pipelines' code, so that the three can be held against each other.
 */
export const fill = Effect.gen(function*() {
  const postgres = yield* Postgres
  yield* postgres.transaction((sql) =>
    Effect.gen(function*() {
      yield* sql.query("Creating the state", stateTables)
      const scores = yield* fillScores(sql)
      yield* fillTotals(sql)
      const mirrored = yield* fillMirror(sql)
      yield* fillCompanies(sql, mirrored, scores)
      yield* fillContacts(sql)
    })
  )
})

const stateTables = `
  create schema cdc;
  create table cdc.managed (pipeline text, target text, key text, primary key (pipeline, target, key));
  create table cdc.surrogates (pipeline text, source text, key text, id bigint not null, primary key (pipeline, source, key), unique (pipeline, id))`

const weights: Record<string, number> = {
  email_open: 1, email_click: 3, email_reply: 10, email_bounce: -5, linkedin_view: 2, website_visit: 2, form_submit: 8
}
const componentOf: Record<string, string> = {
  people: "people_score", people_node: "people_score", people_subhub: "people_score", dol: "dol_score", dol_node: "dol_score",
  blog: "blog_score", blog_node: "blog_score", talent_flow: "talent_flow_score", "talent-flow": "talent_flow_score"
}
const tierOf = (score: number) => score >= 75 ? "BURNING" : score >= 50 ? "HOT" : score >= 25 ? "WARM" : "COLD"
const rounded = (value: number, scale = 1) => (Math.sign(value) * Math.round(Math.abs(value) * scale)) / scale
const clamped = (value: number) => Math.min(100, Math.max(0, value))
const latest = (instants: ReadonlyArray<string>) => instants.reduce((a, b) => (a > b ? a : b))

interface Signal {
  readonly signal_id: string
  readonly outreach_id: string
  readonly signal_type: string
  readonly signal_impact: string
  readonly source_spoke: string
  readonly signal_metadata: unknown
  readonly decay_period_days: number
  /** Instants as text sort by time: `2026-01-01T00:00:00.000000`. */
  readonly at: string
  readonly micros: bigint
  readonly company: string
}

const readSignals = (sql: Sql) =>
  sql.query<Signal>(
    "Reading signals",
    `select s.*, to_char(signal_timestamp at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US') as at,
      (extract(epoch from signal_timestamp) * 1000000)::bigint as micros, sovereign_id::text as company
    from outreach.bit_signals s join outreach.outreach using (outreach_id)`
  )

const fillScores = Effect.fnUntraced(function*(sql: Sql) {
  const nowMicros = BigInt(Date.now()) * 1_000n
  const rows = new Map<string, Array<Signal>>()
  const companies = new Map<string, string>()
  for (const signal of yield* readSignals(sql)) {
    if (signal.decay_period_days <= 0 || !Number.isFinite(Number(signal.signal_impact))) continue
    rows.set(signal.outreach_id, [...(rows.get(signal.outreach_id) ?? []), signal])
    companies.set(signal.outreach_id, signal.company)
  }
  const scores = [...rows].map(([outreach_id, signals]) => {
    const sums: Record<string, number> = { people_score: 0, dol_score: 0, blog_score: 0, talent_flow_score: 0 }
    let total = 0
    for (const signal of signals) {
      const ageInDays = Number(nowMicros - signal.micros) / 86_400e6
      const value = Number(signal.signal_impact) * Math.min(1, Math.max(0, 1 - ageInDays / signal.decay_period_days))
      const component = componentOf[signal.source_spoke]
      if (component !== undefined) sums[component]! += value
      total += value
    }
    const score = rounded(clamped(total), 100)
    return {
      outreach_id,
      score,
      score_tier: tierOf(score),
      signal_count: signals.length,
      ...Object.fromEntries(Object.entries(sums).map(([name, sum]) => [name, rounded(sum, 100)])),
      last_signal_at: `${latest(signals.map(({ at }) => at))}Z`,
      last_scored_at: new Date(Number(nowMicros / 1_000n)).toISOString()
    }
  })
  yield* insertAll(sql, TableName("outreach", "bit_scores"), scores)
  yield* manage(sql, "bit-scores", "outreach.bit_scores", scores.map(({ outreach_id }) => outreach_id))
  return scores.map(({ outreach_id, score, score_tier }) => ({ company: companies.get(outreach_id)!, score, score_tier }))
})

const fillTotals = Effect.fnUntraced(function*(sql: Sql) {
  const sends = yield* sql.query<Record<string, string | null>>("Reading sends", "select * from outreach.send_log where campaign_id is not null")
  const totals = new Map<string, { recipients: Set<string>; sent: number; opened: number; clicked: number; replied: number }>()
  for (const send of sends) {
    const total = totals.get(send.campaign_id!) ?? { recipients: new Set(), sent: 0, opened: 0, clicked: 0, replied: 0 }
    total.recipients.add(send.person_id ?? send.email_to!.replace(/[A-Z]/g, (letter) => letter.toLowerCase()))
    for (const column of ["sent", "opened", "clicked", "replied"] as const) if (send[`${column}_at`] !== null) total[column]++
    totals.set(send.campaign_id!, total)
  }
  for (const [id, { clicked, opened, recipients, replied, sent }] of totals) {
    yield* sql.query(
      "Writing totals",
      `update outreach.campaigns set total_targeted = $2, total_sent = $3, total_opened = $4, total_clicked = $5, total_replied = $6
      where campaign_id = $1`,
      [id, recipients.size, sent, opened, clicked, replied]
    )
  }
  yield* manage(sql, "campaign-totals", "outreach.campaigns", [...totals.keys()])
})

interface Event {
  readonly event_id: string
  readonly person_id: string | null
  readonly own: string | null
  readonly sovereign_id: string | null
  readonly event_type: string
  readonly source_system: string | null
  readonly source_campaign_id: string | null
  readonly metadata: unknown
  readonly at: string
}

const readEvents = (sql: Sql) =>
  sql.query<Event>(
    "Reading events",
    `select e.*, e.company_unique_id as own, sovereign_id, to_char(event_ts at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US') as at
    from outreach.engagement_events e left join outreach.outreach using (outreach_id) where is_duplicate is null or not is_duplicate`
  )

const fillMirror = Effect.fnUntraced(function*(sql: Sql) {
  const fromSignals = (yield* readSignals(sql)).filter(({ signal_impact }) => Math.abs(rounded(Number(signal_impact))) < 2 ** 31)
    .map((signal) => ({
      source_table: "outreach.bit_signals",
      source_key: signal.signal_id,
      row: {
        company_unique_id: signal.company as string | null,
        contact_unique_id: null as string | null,
        signal_type: signal.signal_type,
        signal_strength: rounded(Number(signal.signal_impact)),
        source: signal.source_spoke,
        source_campaign_id: null as string | null,
        metadata: signal.signal_metadata,
        captured_at: signal.at
      }
    }))
  const fromEvents = (yield* readEvents(sql)).map((event) => ({
    source_table: "outreach.engagement_events",
    source_key: event.event_id,
    row: {
      company_unique_id: event.own ?? event.sovereign_id,
      contact_unique_id: event.person_id,
      signal_type: event.event_type,
      signal_strength: weights[event.event_type]!,
      source: event.source_system ?? "unknown",
      source_campaign_id: event.source_campaign_id,
      metadata: event.metadata,
      captured_at: event.at
    }
  }))
  const all = [...fromSignals, ...fromEvents].map(({ row, ...source }, n) => ({ ...source, row: { signal_id: 1_000 + n, ...row } }))
  yield* insertAll(sql, TableName("bit", "bit_signal"), all.map(({ row }) => row))
  yield* insertAll(
    sql,
    TableName("cdc", "surrogates"),
    all.map(({ row, source_key, source_table }) => ({ pipeline: "legacy-mirrors", source: source_table, key: source_key, id: row.signal_id }))
  )
  return all.map(({ row }) => row)
})

type Mirrored = Effect.Success<ReturnType<typeof fillMirror>>

const fillCompanies = Effect.fnUntraced(function*(
  sql: Sql,
  mirrored: Mirrored,
  scores: ReadonlyArray<{ company: string; score: number; score_tier: string }>
) {
  const stored = yield* sql.query<{ company: string; score: string; score_tier: string }>(
    "Reading scores that no signal backs",
    "select sovereign_id::text as company, score, score_tier from outreach.bit_scores join outreach.outreach using (outreach_id) where last_scored_at < '2026-01-01'"
  )
  const best = new Map<string, { score: number; score_tier: string }>()
  for (const { company, score, score_tier } of [...scores, ...stored.map((row) => ({ ...row, score: Number(row.score) }))]) {
    if ((best.get(company)?.score ?? -1) < score) best.set(company, { score, score_tier })
  }
  const companies = new Map<string, Array<Mirrored[number]>>()
  for (const row of mirrored) {
    if (row.company_unique_id !== null) companies.set(row.company_unique_id, [...(companies.get(row.company_unique_id) ?? []), row])
  }
  const rows = [...companies].map(([company_unique_id, ofCompany]) => {
    const sum = (...types: ReadonlyArray<string>) =>
      ofCompany.reduce((total, row) => total + (types.includes(row.signal_type) ? row.signal_strength : 0), 0)
    return {
      company_unique_id,
      score: rounded(best.get(company_unique_id)?.score ?? 0),
      score_tier: best.get(company_unique_id)?.score_tier ?? "COLD",
      signal_count: ofCompany.length,
      last_signal_at: latest(ofCompany.map(({ captured_at }) => captured_at)),
      email_score: sum("email_open", "email_click", "email_reply", "email_bounce"),
      linkedin_score: sum("linkedin_view"),
      website_score: sum("website_visit", "form_submit")
    }
  })
  yield* insertAll(sql, TableName("bit", "bit_company_score"), rows)
  yield* manage(sql, "legacy-mirrors", "bit.bit_company_score", rows.map(({ company_unique_id }) => company_unique_id))
})

const fillContacts = Effect.fnUntraced(function*(sql: Sql) {
  const contacts = new Map<string, Array<string>>()
  for (const { event_type, person_id } of yield* readEvents(sql)) {
    if (person_id !== null) contacts.set(person_id, [...(contacts.get(person_id) ?? []), event_type])
  }
  const rows = [...contacts].map(([contact_unique_id, types]) => {
    const count = (type: string) => types.filter((other) => other === type).length
    const score = clamped(types.reduce((sum, type) => sum + weights[type]!, 0))
    return {
      contact_unique_id,
      score,
      signal_count: types.length,
      email_opens: count("email_open"),
      email_clicks: count("email_click"),
      linkedin_views: count("linkedin_view"),
      replies: count("email_reply"),
      engagement_tier: tierOf(score)
    }
  })
  yield* insertAll(sql, TableName("bit", "bit_contact_score"), rows)
  yield* manage(sql, "legacy-mirrors", "bit.bit_contact_score", rows.map(({ contact_unique_id }) => contact_unique_id))
})

const manage = (sql: Sql, pipeline: string, target: string, keys: ReadonlyArray<string>) =>
  insertAll(sql, TableName("cdc", "managed"), keys.map((key) => ({ pipeline, target, key })))
