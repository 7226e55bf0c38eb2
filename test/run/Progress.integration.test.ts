import { assert, layer } from "@effect/vitest"
import { Effect, Fiber, Layer } from "effect"
import * as CaptureState from "../../src/capture/CaptureState.ts"
import { AppConfig } from "../../src/Config.ts"
import { Kafka } from "../../src/connections/Kafka.ts"
import { Postgres } from "../../src/connections/Postgres.ts"
import { createSharedTables } from "../../src/materialize/Registration.ts"
import { Progress } from "../../src/run/Progress.ts"
import * as TestConfig from "../support/TestConfig.ts"
import { TestDatabase } from "../support/TestDatabase.ts"
import { TestTopics } from "../support/TestTopics.ts"

const Support = Progress.layer.pipe(
  Layer.provideMerge(Layer.merge(Postgres.layer, Kafka.layer)),
  Layer.provideMerge(TestConfig.layer({ pipelines: { enabled: "p" } })),
  Layer.provideMerge(Layer.mergeAll(TestDatabase.layer, TestTopics.layer))
)

/** Reads the slot and confirms all that it is sent, as capture does with what Kafka has acknowledged. Until the scope ends. */
const confirmAll = Effect.fnUntraced(function*(slot: string) {
  const postgres = yield* Postgres
  const client = yield* postgres.connect({ replication: true })
  const connection = (client as unknown as { connection: { on: Function; sendCopyFromChunk: (chunk: Buffer) => void } }).connection
  connection.on("copyData", ({ chunk }: { chunk: Buffer }) => {
    const end = chunk.readBigUInt64BE(chunk[0] === 0x6b ? 1 : 9) // k: walEnd; w: walEnd is the second
    const status = Buffer.alloc(34)
    status[0] = 0x72 // r: standby status update (Postgres manual, 54.4)
    for (const at of [1, 9, 17]) status.writeBigUInt64BE(end, at)
    connection.sendCopyFromChunk(status)
  })
  void client.query(`START_REPLICATION SLOT ${slot} LOGICAL 0/0 (proto_version '1', publication_names '${slot}')`).catch(() => {}) // it ends with the connection
  yield* Effect.promise(() => new Promise((resolve) => connection.on("replicationStart", resolve)))
})

layer(Support, { excludeTestServices: true })("progress, from hand-made state", (it) => {
  it.effect("tells apart what is not set up, not confirmed, not applied, held up, and not settled", () =>
    Effect.gen(function*() {
      const database = yield* TestDatabase
      const { client, create, prefix } = yield* TestTopics
      const progress = yield* Progress
      const sql = (statement: string, ...parameters: ReadonlyArray<unknown>) => Effect.promise(() => database.query(statement, parameters))
      const slot = TestConfig.slotOf(database.name)
      const topic = `${prefix}.a.b`

      assert.deepInclude((yield* progress.status).capture, { state: "notSetUp", confirmedLsn: null })

      const postgres = yield* Postgres
      yield* CaptureState.make("cdc", slot).createTables(postgres)
      yield* createSharedTables(postgres, "cdc")
      yield* sql(`create publication ${slot}`)
      yield* sql("select pg_create_logical_replication_slot($1, 'pgoutput')", slot)
      yield* sql("insert into cdc.capture (slot, epoch, system_identifier, database, publication_oid, snapshot) values ($1, 1, '', '', 0, 'pending')", slot)
      const waiting = yield* progress.status
      assert.deepInclude(waiting, { caughtUp: false, settled: false })
      assert.strictEqual(waiting.capture.state, "waiting")

      const events = `${prefix}.events.bit-score-tier-changed`
      assert.deepStrictEqual(waiting.capture.eventGaps.map(({ topic }) => topic), [events])
      yield* Effect.promise(() => create([{ topic, numPartitions: 2 }, { topic: events, numPartitions: 1 }]))
      yield* sql("insert into cdc.pipelines (name, version, settings_hash, generation) values ('p', 1, '', 1)")
      yield* sql("insert into cdc.offsets (pipeline, topic, partition, next_offset, epoch, commit_lsn, ord) values ('p', $1, 0, 0, 0, 0, 0), ('p', $1, 1, 0, 0, 0, 0)", topic)
      yield* sql("update cdc.capture set snapshot = 'done'")
      const stopped = yield* progress.status
      assert.deepInclude(stopped, { caughtUp: false })
      assert.deepStrictEqual(stopped.capture.eventGaps, [])
      assert.strictEqual(stopped.capture.state, "stopped")

      yield* Effect.scoped(Effect.gen(function*() {
        yield* confirmAll(slot)
        const settled = yield* progress.status
        assert.deepInclude(settled, { caughtUp: true, settled: true, pending: 0 })
        assert.deepInclude(settled.capture, { state: "streaming", lagSeconds: 0 })
        assert.deepInclude(settled.pipelines[0]!, { name: "p", state: "stopped", lagRecords: 0 })

        const producer = client.producer()
        yield* Effect.promise(async () => {
          await producer.connect()
          await producer.send({ topic, messages: [{ partition: 1, value: "1" }] })
          await producer.disconnect()
        })
        const behind = yield* progress.status
        assert.deepInclude(behind, { caughtUp: false, settled: false })
        assert.strictEqual(behind.pipelines[0]!.lagRecords, 1)
        assert.isFalse(yield* progress.waitUntilApplied(50))

        // What a pipeline's batch does, while two wait for it: offsets and writes move in one transaction.
        // Both are past the sum of writes, which is read first, once they wait for the table that is read last.
        const [asking, applying] = yield* (yield* Postgres).transaction(Effect.fnUntraced(function*(batch) {
          yield* batch.query("Locking", "lock table cdc.pending in access exclusive mode")
          const asking = yield* Effect.forkDetach(progress.status, { startImmediately: true })
          const applying = yield* Effect.forkDetach(progress.waitUntilApplied(20_000), { startImmediately: true })
          const waiting = Effect.map(sql("select from pg_locks where not granted and relation = 'cdc.pending'::regclass"), (rows) => rows.length)
          while ((yield* waiting) < 2);
          yield* batch.query("Applying", "with moved as (update cdc.offsets set next_offset = 1 where partition = 1) update cdc.pipelines set writes = writes + 1")
          return [asking, applying] as const
        }))
        assert.deepInclude(yield* Fiber.join(asking), { caughtUp: true, settled: false })
        assert.isTrue(yield* Fiber.join(applying))
        assert.deepInclude(yield* progress.status, { caughtUp: true, settled: true })

        yield* sql("insert into cdc.pending (pipeline, target, key) values ('p', 'a.b', '1')")
        assert.deepInclude(yield* progress.status, { caughtUp: false, pending: 1 })
        yield* sql("insert into cdc.pipelines (name, version, settings_hash, generation) values ('p@2', 1, '', 2)")
        yield* sql("insert into cdc.offsets select 'p@2', topic, partition, next_offset, epoch, commit_lsn, ord from cdc.offsets where pipeline = 'p'")
        const settings = yield* AppConfig
        const asShadow = AppConfig.of({ ...settings, pipelines: { ...settings.pipelines, modes: { ...settings.pipelines.modes, p: "shadow" } } })
        const inShadow = yield* Effect.flatMap(Progress, ({ status }) => status).pipe(
          Effect.provide(Progress.layer, { local: true }), Effect.provideService(AppConfig, asShadow))
        assert.deepInclude(inShadow, { caughtUp: true, pending: 0 }, "what was left to be written is nobody's work in shadow mode")
        yield* sql("delete from cdc.pipelines where name = 'p@2'")
        yield* sql("delete from cdc.offsets where pipeline = 'p@2'")
        yield* sql("delete from cdc.pending")
        assert.deepInclude(yield* progress.status, { caughtUp: true })
      }))

      yield* sql("select case when active_pid is null then true else pg_terminate_backend(active_pid, 5000) end, pg_drop_replication_slot(slot_name) from pg_replication_slots where slot_name = $1", slot)
      assert.strictEqual((yield* progress.status).capture.state, "slotMissing")
    }))
})
