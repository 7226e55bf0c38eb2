import { assert, layer } from "@effect/vitest"
import { Effect, Layer } from "effect"
import pg from "pg"
import { Postgres } from "../../src/connections/Postgres.ts"
import { prepare } from "../../src/embedded/hub/Hub.ts"
import { type CdcProcess, freePort, readMetrics, runCdc, startCdc, waitForStatus } from "../support/CdcProcess.ts"
import * as TestConfig from "../support/TestConfig.ts"
import { TestDatabase } from "../support/TestDatabase.ts"
import { TestTopics } from "../support/TestTopics.ts"

const servers = Layer.mergeAll(TestDatabase.layer, TestTopics.layer)
const hub = Postgres.layer.pipe(Layer.provideMerge(TestConfig.layer()), Layer.provideMerge(servers))

/** Half-way, a candidate's batch waits for who holds this lock, as it notes its offsets: all of it is done but the commit. */
const held = 4711
const stopHalfWay = `
  create function public.stop_half_way() returns trigger language plpgsql as $$ begin
    if (select sum(next_offset) from cdc.offsets where pipeline = new.pipeline) > (select sum(next_offset) / 2 from cdc.offsets where pipeline = split_part(new.pipeline, '@', 1)) then
      perform pg_advisory_xact_lock(${held});
    end if;
    return new;
  end $$;
  create trigger stop_half_way before update on cdc.offsets for each row when (new.pipeline like '%@%') execute function public.stop_half_way()`

layer(hub, { excludeTestServices: true })("a replay whose process is killed half-way", (it) => {
  it.effect("goes on from there in another one to the right end, and /metrics says how far it is", () =>
    Effect.gen(function*() {
      const database = yield* TestDatabase
      const topics = yield* TestTopics
      const port = yield* Effect.promise(freePort)
      const environment = {
        ...TestConfig.environment(database, topics), CDC_PIPELINES_ENABLED: "bit-scores", CDC_LOG_FORMAT: "json", LOG_LEVEL: "warn",
        CDC_CONSUME_MAX_BATCH_CHANGES: "20", PORT: String(port)
      }
      yield* prepare({ companies: 30, seed: 5 })
      yield* Effect.promise(() => runCdc(["setup"], environment))
      const started = new Set<CdcProcess>()
      const start = (...verb: ReadonlyArray<string>) => {
        const cdc = startCdc(verb, environment)
        started.add(cdc)
        return cdc
      }
      yield* Effect.addFinalizer(() => Effect.promise(() => Promise.all([...started].map(({ kill }) => kill()))))
      const holder = new pg.Client({ connectionString: database.url })
      yield* Effect.acquireRelease(Effect.promise(() => holder.connect()), () => Effect.promise(() => holder.end()))

      yield* Effect.promise(async () => {
        const run = start("run")
        for (let n = 0; n < 2; n++) { // batches of their own in the topic
          await database.query(`insert into outreach.bit_signals (outreach_id, signal_type, signal_impact, source_spoke, correlation_id)
            select outreach_id, 'made', 20, 'people', gen_random_uuid() from outreach.outreach`)
          await waitForStatus(run, port, ({ settled }) => settled)
        }
        // What its state does not say, its next change would not mend either: the live state lacks an entry.
        await database.query("delete from cdc.bit_scores_1_entries where key = (select signal_id::text from outreach.bit_signals where signal_type = 'made' order by 1 limit 1)")
        await database.query("update outreach.bit_scores set score = 1 where outreach_id in (select outreach_id from outreach.bit_scores order by 1 limit 5)")

        await database.query(stopHalfWay)
        await holder.query(`select pg_advisory_lock(${held})`)
        const victim = start("replay", "bit-scores")
        const waits = "select from pg_locks where locktype = 'advisory' and objid = $1 and not granted and database = (select oid from pg_database where datname = current_database())"
        while ((await database.query(waits, [held])).length === 0) assert.isNull(victim.child.exitCode, victim.said())
        await victim.kill()
        await holder.query("select pg_advisory_unlock_all()")
        await database.query("drop trigger stop_half_way on cdc.offsets")

        const reached = "select sum(next_offset)::int as records from cdc.offsets where pipeline = $1 group by pipeline"
        const [[killed], [live]] = [await database.query<{ records: number }>(reached, ["bit-scores@2"]), await database.query<{ records: number }>(reached, ["bit-scores"])]
        assert.isAbove(killed!.records, 0)
        assert.isBelow(killed!.records, live!.records)
        const series = (name: string) => `cdc_replay_${name}{pipeline="bit-scores"}`
        const metrics = await readMetrics(port)
        assert.deepStrictEqual(["generation", "records", "records_done"].map((name) => metrics.get(series(name))), [2, live!.records, killed!.records])

        const resumed = await runCdc(["replay", "bit-scores", "--json"], environment)
        assert.match(resumed, /"generation": 2,/, "not begun anew")
        await waitForStatus(run, port, ({ settled }) => settled)
        assert.match(await runCdc(["verify"], environment), /no differences/)
        assert.strictEqual((await readMetrics(port)).get(series("generation")), 0)
      })
    }).pipe(Effect.scoped), 120_000)
})
