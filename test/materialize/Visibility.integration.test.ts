import { assert, layer } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import type pg from "pg"
import { Postgres } from "../../src/connections/Postgres.ts"
import { Changes } from "../support/Changes.ts"
import * as TestHub from "../support/TestHub.ts"
import { run } from "./Running.ts"
import { campaign, company, fresh, outreach, rowsOf, send, sendRow, signal, signalRow, tables } from "./SmallHub.ts"

/**
 * A transaction whose records are on the topics while no session sees it yet, as between the flush of its commit record and its
 * end: here it is simply open. What is applied must be what it brought, and not that nothing is there.
 */
const unseen = Effect.gen(function*() {
  const client: pg.Client = yield* (yield* Postgres).connect({})
  const say = (statement: string, parameters: ReadonlyArray<unknown> = []) => Effect.promise(() => client.query(statement, [...parameters]))
  yield* say("begin")
  const { rows: [row] } = yield* say("select pg_current_xact_id()::text::bigint % 4294967296 as xid")
  return { say, xid: Number(row.xid) }
})

/** The batch has looked for running transactions, and holds its own open. */
const isWaiting = Effect.map(
  rowsOf("select from pg_stat_activity where datname = current_database() and state like 'idle in transaction%' and query like '%pg_xact_status%'"),
  (rows) => rows.length > 0
)

layer(TestHub.layer, { excludeTestServices: true })("a batch of a transaction that is not visible yet", (it) => {
  it.effect("waits for it: its campaign has totals, its outreach a score, its rows their metadata", () =>
    Effect.gen(function*() {
      yield* fresh
      const { say, xid } = yield* unseen
      yield* say("insert into outreach.campaigns (campaign_id, campaign_name) values ($1, 'New')", [campaign(3)])
      yield* say("insert into outreach.outreach (outreach_id, sovereign_id) values ($1, $2)", [outreach(3), company(1)])
      yield* say(
        `insert into outreach.bit_signals (signal_id, outreach_id, signal_type, signal_impact, source_spoke, correlation_id, signal_metadata)
         values ($1, $2, 'made', 10, 'people', $1, '{"seen": true}')`,
        [signal(1), outreach(3)]
      )
      const changes = new Changes(1)
      changes.xid = xid
      changes.append(tables.sends, "c", send(1), sendRow(3))
      changes.append(tables.signals, "c", signal(1), signalRow(3))
      const pipelines = yield* Effect.forEach(["campaign-totals", "bit-scores", "legacy-mirrors"], (name) => run(name, changes))
      const applying = yield* Effect.forkChild(Effect.forEach(pipelines, ({ applyAll }) => applyAll()), { startImmediately: true })
      while (!(yield* isWaiting));
      yield* say("commit")
      yield* Fiber.join(applying)
      assert.deepStrictEqual(yield* rowsOf("select total_sent from outreach.campaigns where campaign_id = $1", [campaign(3)]), ["(1)"])
      assert.deepStrictEqual(yield* rowsOf("select outreach_id from outreach.bit_scores"), [`(${outreach(3)})`])
      assert.deepStrictEqual(yield* rowsOf("select metadata->>'seen' from bit.bit_signal"), ["(true)"])
    }))

  it.effect("does not wait for one that was rolled back, is long past, or of another history", () =>
    Effect.gen(function*() {
      yield* fresh
      const { say, xid } = yield* unseen
      yield* say("rollback")
      const changes = new Changes(1)
      const { applyAll } = yield* run("campaign-totals", changes)
      for (const [n, id] of [xid, 3, 4_294_967_295, 2_000_000_000].entries()) {
        changes.xid = id
        changes.append(tables.sends, "c", send(n), sendRow(1))
      }
      assert.deepInclude(yield* applyAll(), { changes: 4, written: 1 })
    }))
})
