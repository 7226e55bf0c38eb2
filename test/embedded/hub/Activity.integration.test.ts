import { assert, layer } from "@effect/vitest"
import { Effect, Layer } from "effect"
import pg from "pg"
import { Activity } from "../../../src/embedded/hub/Activity.ts"
import * as Hub from "../../../src/embedded/hub/Hub.ts"
import * as TestHub from "../../support/TestHub.ts"
import { TestDatabase } from "../../support/TestDatabase.ts"

const tables = ["outreach.outreach", "outreach.bit_signals", "outreach.send_log", "outreach.engagement_events", "outreach.campaigns", "cl.company_identity"]
/** What is there, but for the times, which are the clock's. */
const fingerprint = (database: TestDatabase["Service"]) =>
  Effect.promise(async () => {
    const rows = await database.query<{ hash: string }>(
      `select md5(string_agg(id, ',' order by id)) as hash from (${
        tables.map((table) => `select '${table}' || (to_jsonb(t) - array(select k from jsonb_object_keys(to_jsonb(t)) k where k ~ '(_at|_ts|_date|timestamp)$'))::text as id from ${table} t`).join(" union all ")
      }) rows`
    )
    return rows[0]!.hash
  })

const busyHub = (seed: number) =>
  Effect.gen(function*() {
    const database = yield* TestDatabase
    yield* Hub.prepare({ companies: 200, seed: 5, nowMillis: Date.UTC(2026, 0, 1) })
    const changes = yield* Effect.flatMap(Activity, (activity) => activity.runSteps(300)).pipe(
      Effect.provide(Activity.layer({ seed, changesPerSecond: 0 }))
    )
    return { changes, hash: yield* fingerprint(database) }
  }).pipe(Effect.provide(Layer.fresh(TestHub.layer)))

layer(TestHub.layer, { excludeTestServices: true })("the sample hub's activity", (it) => {
  it.effect("does the same for the same seed, and something else for another", () =>
    Effect.gen(function*() {
      const first = yield* busyHub(7)
      assert.isAbove(first.changes, 300)
      assert.deepStrictEqual(yield* busyHub(7), first)
      assert.notStrictEqual((yield* busyHub(8)).hash, first.hash)
    }))

  it.effect("leaves what the pipelines own alone, archives whole outreaches, and changes every table of the hub's", () =>
    Effect.gen(function*() {
      const { query } = yield* TestDatabase
      yield* Hub.prepare({ companies: 300, seed: 6 })
      const owned = () =>
        Effect.promise(() =>
          query(`
            select 'campaign ' || campaign_id, total_targeted, total_sent, total_opened, total_clicked, total_replied from outreach.campaigns where total_sent > 0
            union all select 'signal ' || signal_id, signal_strength, 0, 0, 0, 0 from bit.bit_signal
            union all select 'company ' || company_unique_id, score, 0, 0, 0, 0 from bit.bit_company_score order by 1`)
        )
      const before = yield* owned()
      const [archivedBefore] = yield* Effect.promise(() => query<{ n: string }>("select count(*) as n from outreach.outreach_archive"))
      yield* Effect.flatMap(Activity, (activity) => activity.runSteps(400)).pipe(Effect.provide(Activity.layer({ seed: 9, changesPerSecond: 0 })))
      assert.deepStrictEqual(yield* owned(), before)
      const [archived] = yield* Effect.promise(() =>
        query<{ n: string; left: string }>(`
          select count(*) as n, count(o.outreach_id) as left from outreach.outreach_archive left join outreach.outreach o using (outreach_id)`)
      )
      assert.isAbove(Number(archived!.n), Number(archivedBefore!.n))
      assert.strictEqual(archived!.left, "0")
    }))

  it.effect("does a step again that somebody's lock made fail", () =>
    Effect.gen(function*() {
      const database = yield* TestDatabase
      yield* Hub.prepare({ companies: 200, seed: 6 })
      yield* Effect.promise(() => database.query(`alter database ${database.name} set lock_timeout = '20ms'`))
      const everyTable = yield* Effect.promise(() =>
        database.query<{ name: string }>("select format('%I.%I', schemaname, tablename) as name from pg_tables where schemaname in ('cl', 'outreach', 'outreach_ctx')"))
      const holder = yield* Effect.acquireRelease(
        Effect.promise(async () => {
          const client = new pg.Client({ connectionString: database.url })
          await client.connect()
          await client.query(`begin; lock table ${everyTable.map(({ name }) => name).join(", ")} in exclusive mode`)
          return client
        }),
        (client) => Effect.promise(() => client.end())
      )
      const steps = Effect.flatMap(Activity, (activity) => activity.runSteps(3)).pipe(
        Effect.provide(Activity.layer({ seed: 10, changesPerSecond: 0 })),
        Effect.provide(Layer.fresh(TestHub.connections)) // connections that know the timeout
      )
      const [changes] = yield* Effect.all([steps, Effect.promise(() => holder.query("select pg_sleep(0.2); commit"))], { concurrency: 2 })
      assert.isAbove(changes, 0)
    }))

  it.effect("is quiet while paused, but for the steps that are asked for", () =>
    Effect.gen(function*() {
      const { query } = yield* TestDatabase
      yield* Hub.prepare({ companies: 200, seed: 6 })
      const activity = yield* Activity
      yield* activity.runSteps(1)
      yield* activity.pause
      const before = yield* activity.done
      for (let i = 0; i < 50; i++) yield* Effect.promise(() => query("select 1")) // time in which the loop would have gone on
      assert.deepStrictEqual(yield* activity.done, before)
      yield* activity.runSteps(2)
      assert.strictEqual((yield* activity.done).steps, before.steps + 2)
    }).pipe(Effect.provide(Activity.layer({ seed: 11, changesPerSecond: 100_000 }))))
})
