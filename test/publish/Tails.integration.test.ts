import { assert, layer } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { Kafka } from "../../src/connections/Kafka.ts"
import * as Headers from "../../src/domain/Headers.ts"
import { Lsn } from "../../src/domain/Lsn.ts"
import type { OutgoingRecord } from "../../src/domain/OutgoingRecord.ts"
import * as Position from "../../src/domain/Position.ts"
import * as Tails from "../../src/publish/Tails.ts"
import * as Topics from "../../src/publish/Topics.ts"
import * as TopicWriter from "../../src/publish/TopicWriter.ts"
import { AppConfig } from "../../src/Config.ts"
import * as TestConfig from "../support/TestConfig.ts"
import { TestDatabase } from "../support/TestDatabase.ts"
import { TestTopics } from "../support/TestTopics.ts"

const Support = Kafka.layer.pipe(
  Layer.provideMerge(TestConfig.layer({ kafka: { partitions: 2 } })),
  Layer.provideMerge(Layer.mergeAll(TestDatabase.layer, TestTopics.layer))
)

const at = (order: number): Position.Position => ({ epoch: 1, commitLsn: Lsn(1000n), order })

const record = (topic: string, partition: number, order: number, op: string | null): OutgoingRecord => ({
  topic,
  partition,
  key: Buffer.from(`{"id":${order}}`),
  value: op === null ? null : Buffer.from(JSON.stringify({ op, source: { epoch: 1 }, transaction: { id: "7:1000", total_order: order } })),
  headers: op === null ? [[Headers.position, Position.format(at(order))]] : undefined,
  position: at(order)
})

/** A topic of its own, and a writer for it. */
const prepare = (table: string) =>
  Effect.gen(function*() {
    const { kafka, publish } = yield* AppConfig
    const topic = `${kafka.topicPrefix}.public.${table}`
    yield* Topics.ensure([{ topic, hasKey: true }], kafka)
    const writer = yield* TopicWriter.make({ clientId: "test", fence: topic, topics: [topic], batchBytes: publish.batchBytes, compression: publish.compression })
    return { topic, settings: kafka, writer }
  })

layer(Support, { excludeTestServices: true })("the ends of topics", (it) => {
  it.effect("a record of megabytes is written, found at the end and read by a stock consumer; a larger one is refused by name", () =>
    Effect.gen(function*() {
      const { topic, writer } = yield* prepare("large")
      const large = (partition: number, bytes: number) => ({ ...record(topic, partition, 1, null), value: Buffer.alloc(bytes) })
      yield* writer.write([large(0, 9_000_000), record(topic, 0, 2, "c"), large(1, 9_000_000)].map((sent, order) =>
        ({ ...sent, headers: [[Headers.position, Position.format(at(order))]] as const, position: at(order) })))
      assert.deepStrictEqual((yield* Tails.read([topic])).last, at(2))
      const topics = yield* TestTopics
      const read = yield* Effect.promise(() => topics.readTopic(topic))
      assert.deepStrictEqual(read.map(({ partition, value }) => [partition, value!.length > 1_048_576]), [[0, true], [0, false], [1, true]])
      const error = yield* Effect.flip(writer.write([large(0, 11_000_000)]))
      assert.strictEqual(error.reason, "tooLarge")
      assert.match(error.message, new RegExp(`A record of about 11000\\d+ bytes is larger than topic ${topic} takes`))
    }))

  it.effect("an empty partition holds nothing, another one all up to its last record", () =>
    Effect.gen(function*() {
      const { topic, writer } = yield* prepare("plain")
      assert.isUndefined((yield* Tails.read([topic])).last)
      yield* writer.write([record(topic, 1, 1, "c"), record(topic, 1, 2, "u")])
      const tails = yield* Tails.read([topic])
      assert.deepStrictEqual(tails.last, at(2))
      assert.deepStrictEqual([1, 2, 3].map((order) => tails.holds(record(topic, 1, order, "u"))), [true, true, false])
      assert.isFalse(tails.holds(record(topic, 0, 1, "c")))
    }))

  it.effect("a delete without its tombstone gets it; one with it gets nothing", () =>
    Effect.gen(function*() {
      const { topic, writer } = yield* prepare("deletes")
      yield* writer.write([record(topic, 0, 1, "d"), record(topic, 1, 2, "d"), record(topic, 1, 2, null)])
      const tails = yield* Tails.read([topic])
      assert.isTrue(tails.holds(record(topic, 0, 1, "d")))
      assert.isFalse(tails.holds(record(topic, 0, 1, null)))
      assert.isTrue(tails.holds(record(topic, 1, 2, null)))
    }))

  it.effect("walks back over markers of transactions and records of others", () =>
    Effect.gen(function*() {
      const { topic, writer } = yield* prepare("markers")
      const { client, prefix } = yield* TestTopics
      yield* writer.write([record(topic, 0, 5, "c"), record(topic, 1, 6, "c")])
      yield* Effect.promise(async () => {
        const producer = client.producer({ transactionalId: `${prefix}.tails`, idempotent: true, maxInFlightRequests: 1 })
        await producer.connect()
        for (let index = 0; index < 20; index++) {
          const aborted = await producer.transaction()
          await aborted.send({ topic, messages: [{ partition: 0, key: "other", value: "not ours" }, { partition: 1, key: "other", value: null }] })
          await aborted.abort()
        }
        await producer.disconnect()
      })
      const tails = yield* Tails.read([topic])
      assert.isTrue(tails.holds(record(topic, 0, 5, "c")))
      assert.isFalse(tails.holds(record(topic, 0, 6, "c")))
      assert.isTrue(tails.holds(record(topic, 1, 6, "c")))
    }))

  it.effect("topics are made as declared, and never with another count of partitions", () =>
    Effect.gen(function*() {
      const { settings, topic } = yield* prepare("settings")
      const { admin } = yield* TestTopics
      const { resources } = yield* Effect.promise(() => admin.describeConfigs({
        includeSynonyms: false,
        resources: [{ type: 2, name: topic, configNames: ["cleanup.policy", "delete.retention.ms", "min.compaction.lag.ms"] }]
      }))
      assert.deepStrictEqual(Object.fromEntries(resources[0]!.configEntries.map(({ configName, configValue }) => [configName, configValue])), {
        "cleanup.policy": "compact", "delete.retention.ms": "604800000", "min.compaction.lag.ms": "604800000"
      })
      const other = yield* Effect.flip(Topics.ensure([{ topic, hasKey: true }], { ...settings, partitions: 3 }))
      assert.match(other.message, /has 2 partitions, but kafka.partitions is 3/)
      const keyless = yield* Effect.flip(Topics.verify([{ topic, hasKey: false }], settings))
      assert.match(keyless.message, /compacted/)
      const missing = yield* Effect.flip(Topics.verify([{ topic: `${topic}_none`, hasKey: true }], settings))
      assert.match(missing.message, /cdc setup/)
    }))
})
