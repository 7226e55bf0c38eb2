import { assert, layer } from "@effect/vitest"
import { Effect, Layer, Redacted } from "effect"
import { AppConfig } from "../../src/Config.ts"
import * as TestConfig from "./TestConfig.ts"
import { createDatabase, TestDatabase } from "./TestDatabase.ts"
import { TestTopics } from "./TestTopics.ts"

const Support = TestConfig.layer({ kafka: { partitions: 2 } }).pipe(
  Layer.provideMerge(Layer.mergeAll(TestDatabase.layer, TestTopics.layer))
)

layer(Support, { excludeTestServices: true })("the tests' own database and topics", (it) => {
  it.effect("a database that captures can be set up in, dropped with its slots", () =>
    Effect.gen(function*() {
      const settings = yield* AppConfig
      const database = yield* TestDatabase
      assert.strictEqual(Redacted.value(settings.source.databaseUrl), database.url)
      yield* Effect.promise(async () => {
        const other = await createDatabase()
        await other.query("select pg_create_logical_replication_slot($1, 'pgoutput')", [TestConfig.slotOf(other.name)])
        await other.drop()
        const left = await database.query("select 1 from pg_replication_slots where database = $1", [other.name])
        assert.deepStrictEqual(left, [])
      })
    }))

  it.effect("reads what a topic holds, markers of transactions and empty partitions included", () =>
    Effect.gen(function*() {
      const { kafka } = yield* AppConfig
      const { admin, client, create, prefix, readTopic } = yield* TestTopics
      const topic = `${prefix}.public.t`
      yield* Effect.promise(async () => {
        await create([{ topic, numPartitions: kafka.partitions + 1 }])
        assert.deepStrictEqual(await readTopic(topic), [])
        const producer = client.producer({ transactionalId: `${prefix}.t`, idempotent: true, maxInFlightRequests: 1 })
        await producer.connect()
        const aborted = await producer.transaction()
        await aborted.send({ topic, messages: [{ partition: 1, key: "b", value: "never" }] })
        await aborted.abort()
        const committed = await producer.transaction()
        await committed.send({
          topic,
          messages: [{ partition: 0, key: "a", value: "1", headers: { h: "x" } }, { partition: 0, key: "a", value: null }]
        })
        await committed.commit()
        await producer.disconnect()
        // The commit is promised before its marker is in the partition, and until then nobody reads what it committed.
        const end = async () => (await admin.fetchTopicOffsets(topic)).find(({ partition }) => partition === 0)!.high
        while (await end() !== "3");
        const records = await readTopic(topic)
        assert.deepStrictEqual(records, [
          { partition: 0, offset: 0n, key: Buffer.from("a"), value: Buffer.from("1"), headers: { h: "x" } },
          { partition: 0, offset: 1n, key: Buffer.from("a"), value: null, headers: {} }
        ])
      })
    }))
})
