import { Effect } from "effect"
import { Postgres } from "../../src/connections/Postgres.ts"
import { makeOwnTables } from "../../src/materialize/OwnTables.ts"
import { Changes, type Op, type Row } from "../support/Changes.ts"
import { pipelineOf } from "./Running.ts"
import { campaign, company, event, eventRow, fresh, outreach, outreachRow, person, rowsOf, send, sendRow, signal, signalRow, spendRow, tables } from "./SmallHub.ts"

export type Step = readonly [op: Exclude<Op, "t">, key: string, row: Row]

/**
 * A history in which everything refers to something in another topic: signals to outreaches that come, move to another company, go, and
 * (the third) are never told of; events to companies by way of them; sends to a campaign that was deleted.
 */
export const history: Readonly<Record<string, ReadonlyArray<Step>>> = {
  [tables.outreach]: [
    ["c", outreach(1), outreachRow(1, 2)],
    ["c", outreach(2), outreachRow(2)],
    ["u", outreach(1), outreachRow(1, 1)],
    ["d", outreach(2), {}]
  ],
  [tables.signals]: [
    ["c", signal(1), signalRow(1, { signal_impact: "30" })],
    ["c", signal(2), signalRow(2, { signal_impact: "40" })],
    ["c", signal(3), signalRow(2)],
    ["u", signal(2), signalRow(1, { signal_impact: "25.5", signal_type: "email_open" })],
    ["d", signal(3), {}],
    ["c", signal(4), signalRow(3)]
  ],
  [tables.events]: [
    ["c", event(1), eventRow({ person_id: person(1) })],
    ["c", event(2), eventRow({ outreach_id: outreach(2), company_unique_id: company(2) })],
    ["u", event(1), eventRow({ person_id: person(1), event_type: "form_submit" })],
    ["c", event(3), eventRow({ outreach_id: outreach(3), person_id: person(2), is_duplicate: true })],
    ["u", event(3), eventRow({ outreach_id: outreach(3), person_id: person(2) })]
  ],
  [tables.sends]: [
    ["c", send(1), sendRow(1)],
    ["c", send(2), sendRow(3)],
    ["u", send(1), sendRow(2, { opened_at: "2026-01-02T00:00:00.000000Z" })],
    ["c", send(3), sendRow(2, { email_to: "bob@example.com" })]
  ],
  [tables.campaigns]: [
    ["c", campaign(1), {}],
    ["c", campaign(2), {}],
    ["c", campaign(3), {}],
    ["d", campaign(3), {}]
  ],
  [tables.spend]: [
    ["c", "1", spendRow("a", "clay", "0.1")],
    ["c", "2", spendRow("a", null, "2")],
    ["c", "3", spendRow("b", "clay", null)],
    ["u", "1", spendRow("a", "hunter", "0.25")],
    ["c", "4", spendRow("a", "clay", "NaN")],
    ["u", "4", spendRow("b", "clay", "-1.5")],
    ["d", "2", {}]
  ],
  [tables.scores]: [
    ["c", outreach(1), { outreach_id: outreach(1), score: "30", score_tier: "WARM" }],
    ["c", outreach(2), { outreach_id: outreach(2), score: "90", score_tier: "BURNING" }],
    ["u", outreach(1), { outreach_id: outreach(1), score: "55.5", score_tier: "HOT" }],
    ["d", outreach(2), {}]
  ]
}

/** The history of these tables, in one partition each; `resent` says which are there again after each: so many, from so many back. */
export const changesOf = (ofTables: ReadonlyArray<string>, resent: (table: string, step: number) => readonly [count: number, back: number] = () => [0, 0]): Changes => {
  const changes = new Changes(1)
  for (const table of ofTables) {
    for (const [n, [op, key, row]] of history[table]!.entries()) {
      if (op === "d") changes.delete(table, key)
      else changes.append(table, op, key, row)
      changes.repeat(table, 0, ...resent(table, n))
    }
  }
  return changes
}

export const now = () => 1_767_225_600_000_000n // 2026-01-01, the instant of signalRow

/** The hub stands at the end of the history: outreach 2 has gone, the third never came. */
export const ended = Effect.gen(function*() {
  yield* fresh
  const postgres = yield* Postgres
  yield* postgres.query("Deleting", "delete from outreach.outreach where outreach_id = $1", [outreach(2)])
  yield* makeOwnTables(postgres, [yield* pipelineOf("context-spend")])
})

/** As if nothing had been read yet. */
export const beginning = Effect.gen(function*() {
  const { query } = yield* Postgres
  yield* query("Forgetting", "delete from outreach.bit_scores; delete from bit.bit_signal; delete from bit.bit_company_score; delete from bit.bit_contact_score; delete from reporting.context_spend")
  yield* query("Forgetting", "update outreach.campaigns set total_targeted = 0, total_sent = 0, total_opened = 0, total_clicked = 0, total_replied = 0")
  yield* query("Forgetting", `do $$ declare t regclass; begin
    for t in select c.oid from pg_class c where relnamespace = 'cdc'::regnamespace and relkind = 'r' and relname not in ('pipelines', 'offsets')
    loop execute 'delete from ' || t; end loop; end $$`)
  yield* query("Forgetting", "update cdc.offsets set next_offset = 0, epoch = 0, commit_lsn = 0, ord = 0")
})

/** Everything but what order may decide: integers of a sequence, instants of writing, and rows of zeros, which stay of what came and went between two batches. */
export const aggregates = rowsOf(`
  select 'score', to_jsonb(s) - '{created_at,updated_at,last_scored_at}'::text[] from outreach.bit_scores s
  union all select 'campaign', to_jsonb(c) - '{created_at,updated_at}'::text[] from outreach.campaigns c
  union all select 'signal', to_jsonb(b) - 'signal_id' from bit.bit_signal b
  union all select 'company', to_jsonb(b) - 'last_updated' from bit.bit_company_score b
  union all select 'contact', to_jsonb(b) - 'last_updated' from bit.bit_contact_score b
  union all select 'spend', to_jsonb(s) - 'updated_at' from reporting.context_spend s where (attempts, credits) <> (0, 0)`)

/** What each pipeline reads of it. */
export const sources: Readonly<Record<string, ReadonlyArray<string>>> = {
  "bit-scores": [tables.signals, tables.outreach, tables.scores],
  "campaign-totals": [tables.sends, tables.campaigns],
  "context-spend": [tables.spend],
  "legacy-mirrors": [tables.signals, tables.events, tables.scores, tables.outreach]
}
