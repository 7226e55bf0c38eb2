import { Effect } from "effect"
import { Postgres } from "../../src/connections/Postgres.ts"
import { createSchema } from "../../src/embedded/hub/Hub.ts"
import type { Row } from "../support/Changes.ts"

/** A hub with one company, two outreaches and two campaigns, whose ids sort and read well; no aggregates. */
const id = (kind: string, n: number) => `${kind}000000-0000-4000-8000-${String(n).padStart(12, "0")}`
export const company = (n: number) => id("c0", n)
export const outreach = (n: number) => id("0a", n)
export const campaign = (n: number) => id("ca", n)
export const person = (n: number) => id("e0", n)
export const signal = (n: number) => id("51", n)
export const event = (n: number) => id("ee", n)
export const send = (n: number) => id("5e", n)

export const tables = {
  outreach: "outreach.outreach",
  signals: "outreach.bit_signals",
  scores: "outreach.bit_scores",
  events: "outreach.engagement_events",
  sends: "outreach.send_log",
  campaigns: "outreach.campaigns",
  spend: "outreach_ctx.spend_log"
} as const

export const fresh = Effect.gen(function*() {
  const { query } = yield* Postgres
  yield* query("Emptying the hub", "drop schema if exists cdc, reporting, outreach, outreach_ctx, bit, cl cascade")
  yield* createSchema()
  for (const n of [1, 2]) {
    yield* query("Inserting", "insert into cl.company_identity (company_unique_id, company_name) values ($1, 'A company')", [company(n)])
    yield* query("Inserting", "insert into outreach.outreach (outreach_id, sovereign_id) values ($1, $2)", [outreach(n), company(1)])
    yield* query("Inserting", "insert into outreach.campaigns (campaign_id, campaign_name) values ($1, 'A campaign')", [campaign(n)])
  }
})

export const outreachRow = (of: number, companyOf = 1): Row => ({ outreach_id: outreach(of), sovereign_id: company(companyOf) })

export const signalRow = (of: number, over: Row = {}): Row => ({
  outreach_id: outreach(of),
  signal_type: "made",
  signal_impact: "10",
  source_spoke: "people",
  decay_period_days: 90,
  signal_timestamp: "2026-01-01T00:00:00.000000Z",
  ...over
})

export const eventRow = (over: Row = {}): Row => ({
  person_id: null,
  outreach_id: outreach(1),
  company_unique_id: null,
  event_type: "email_click",
  event_ts: "2026-01-01T00:00:00.000000Z",
  source_system: null,
  source_campaign_id: null,
  is_duplicate: false,
  ...over
})

export const sendRow = (of: number, over: Row = {}): Row => ({
  campaign_id: campaign(of),
  person_id: null,
  email_to: "ann@example.com",
  sent_at: "2026-01-01T00:00:00.000000Z",
  opened_at: null,
  clicked_at: null,
  replied_at: null,
  ...over
})

export const spendRow = (outreach_context_id: string, tool_name: string | null, cost_credits: string | null): Row => ({ outreach_context_id, tool_name, cost_credits })

/** Columns of rows as text, sorted: what a test compares. */
export const rowsOf = Effect.fnUntraced(function*(statement: string, parameters: ReadonlyArray<unknown> = []) {
  const { query } = yield* Postgres
  const rows = yield* query<{ row: string }>("Reading", `select r::text as row from (${statement}) r order by 1`, parameters)
  return rows.map(({ row }) => row)
})

export const pendingKeys = rowsOf("select target, key from cdc.pending")

/** As if the time had passed in which a row that somebody deleted is not inserted again. */
export const endRests = Effect.flatMap(Postgres, ({ query }) => query("Ending rests", "update cdc.pending set since = now() where since > now()"))
