import { assert, layer } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { type CdcProcess, freePort, runCdc, startCdc } from "../support/CdcProcess.ts"
import { misplaced } from "../support/FinalState.ts"
import * as TestConfig from "../support/TestConfig.ts"
import { TestDatabase } from "../support/TestDatabase.ts"
import { TestTopics } from "../support/TestTopics.ts"

const rounds = 2
const rowsPerRound = 20_000

layer(Layer.mergeAll(TestDatabase.layer, TestTopics.layer), { excludeTestServices: true })("a capture process that is frozen", (it) => {
  it.effect("and awakened after another one took over writes nothing more, whatever it had in hand", () =>
    Effect.gen(function*() {
      const database = yield* TestDatabase
      const topics = yield* TestTopics
      const slot = TestConfig.slotOf(database.name)
      const environment = {
        ...TestConfig.environment(database, topics),
        CDC_SOURCE_TABLES: "public.t",
        CDC_PIPELINES_ENABLED: "none",
        CDC_SOURCE_WAL_SENDER_TIMEOUT_SECONDS: "3",
        CDC_SOURCE_STATUS_INTERVAL_SECONDS: "1",
        CDC_KAFKA_PARTITIONS: "2",
        CDC_LOG_FORMAT: "json",
        LOG_LEVEL: "info"
      }
      const sql = (statement: string, ...parameters: ReadonlyArray<unknown>) => database.query<Record<string, unknown>>(statement, parameters)
      yield* Effect.promise(async () => {
        await sql("create table public.t (id bigint primary key, filler text not null)")
        await runCdc(["setup"], environment)
      })
      const start = Effect.acquireRelease(
        Effect.promise(async () => startCdc(["capture"], { ...environment, PORT: String(await freePort()) })),
        (cdc) => Effect.promise(cdc.kill)
      )
      /** Until the topic has so many offsets. */
      const begun = async (count: number) => {
        for (let ends = 0; ends < count;) {
          const offsets = await topics.admin.fetchTopicOffsets(`${topics.prefix}.public.t`)
          ends = offsets.reduce((sum, { high }) => sum + Number(high), 0)
        }
      }
      /** Until all that is committed now is published and confirmed. */
      const published = async () => {
        const [end] = await sql("select pg_current_wal_insert_lsn()::text as lsn")
        while ((await sql("select from pg_replication_slots where slot_name = $1 and confirmed_flush_lsn >= $2", slot, end!.lsn)).length === 0);
      }
      /** Until somebody reads the slot. */
      const isRead = async () => {
        while ((await sql("select from pg_replication_slots where slot_name = $1 and active", slot)).length === 0);
      }

      let writer = yield* start
      yield* Effect.promise(isRead)
      let standby = yield* start
      yield* Effect.promise(() => standsBy(standby, 1))
      for (let round = 0; round < rounds; round++) {
        const before = round * rowsPerRound
        yield* Effect.promise(async () => {
          await sql("insert into public.t select n, repeat('x', 500) from generate_series($1::int, $2::int) as n", before + 1, before + rowsPerRound)
          await begun(before + 5_000) // in the midst of it
          writer.child.kill("SIGSTOP")
          await published() // by the other one, once the server has missed the first
          writer.child.kill("SIGCONT")
          await standsBy(writer, Math.floor(round / 2) + 1 + round % 2) // one of them began so
        });
        [writer, standby] = [standby, writer]
      }
      // One that has nothing to send by which Kafka could tell it.
      const last = rounds * rowsPerRound + 1
      yield* Effect.promise(async () => {
        writer.child.kill("SIGSTOP")
        await sql("insert into public.t values ($1, '')", last)
        await published()
        writer.child.kill("SIGCONT")
        await standsBy(writer, rounds / 2 + 1)
      })
      const records = yield* Effect.promise(() => topics.readTopic(`${topics.prefix}.public.t`))
      assert.deepStrictEqual(misplaced(records), [])
      assert.strictEqual(records.length, last)
      assert.strictEqual(new Set(records.map(({ key }) => String(key))).size, last)
    }).pipe(Effect.scoped), 120_000)
})

/** Until it has said for the nth time that it waits for the slot. */
const standsBy = async ({ child, ended, said }: CdcProcess, times: number): Promise<void> => {
  const heard = Promise.withResolvers<void>()
  const listen = () => said().split("standing by").length > times && heard.resolve()
  for (const stream of [child.stdout!, child.stderr!]) stream.on("data", listen)
  listen()
  await Promise.race([heard.promise, ended.then((code) => Promise.reject(new Error(`cdc ended with ${code}:\n${said()}`)))])
}
