import { assert, layer } from "@effect/vitest"
import { Effect, Layer, Queue } from "effect"
import { Kafka } from "../../src/connections/Kafka.ts"
import { openDeadLetters } from "../../src/consume/DeadLetters.ts"
import { openReader } from "../../src/consume/TopicReader.ts"
import * as TopicWriter from "../../src/publish/TopicWriter.ts"
import type { RawRecord } from "../../src/domain/SourceChange.ts"
import * as TestConfig from "../support/TestConfig.ts"
import { TestDatabase } from "../support/TestDatabase.ts"
import { TestTopics } from "../support/TestTopics.ts"

const services = Kafka.layer.pipe(
  Layer.provideMerge(TestConfig.layer()),
  Layer.provideMerge(Layer.mergeAll(TestDatabase.layer, TestTopics.layer))
)

/** A topic of one partition with `count` records that nobody can read as changes. */
const topicWith = Effect.fnUntraced(function*(name: string, count: number) {
  const { admin, client, create, prefix } = yield* TestTopics
  const topic = `${prefix}.${name}`
  const append = async (values: number) => {
    const producer = client.producer()
    await producer.connect()
    await producer.send({ topic, messages: Array.from({ length: values }, (_, n) => ({ key: String(n), value: "no change" })) })
    await producer.disconnect()
  }
  yield* Effect.promise(async () => {
    await create([{ topic, numPartitions: 1 }])
    await append(count)
  })
  return { topic, admin, append }
})

layer(services, { excludeTestServices: true })("a reader", (it) => {
  it.effect("stops at records that were deleted while it ran, rather than jumping over them", () =>
    Effect.gen(function*() {
      const { admin, append, topic } = yield* topicWith("cut", 2)
      let bounds = 0
      const queue = yield* openReader({
        groupId: `${topic}.reader`,
        topics: [topic],
        maxBytesPerPartition: 1_048_576, lingerMillis: 0, remedy: "mend it",
        nextOffsets: async () => {
          if (bounds++ > 0) throw new Error("below the beginning") // what openCheckpoint finds when it asks again
          return [0n]
        },
        skip: () => Promise.resolve(true)
      })
      const first = yield* Queue.take(queue)
      assert.strictEqual(first.nextOffset, 2n)
      // Eight more, of which the first five are deleted before the batch in hand lets the reader go on.
      yield* Effect.promise(async () => {
        await append(8)
        await admin.fetchTopicOffsets(topic) // or kafkajs does not know whom to ask
        await admin.deleteTopicRecords({ topic, partitions: [{ partition: 0, offset: "7" }] })
      })
      first.applied()
      const error = yield* Effect.flip(Queue.take(queue))
      assert.match(error.message, /below the beginning/)
    }))
})

/** What capture leaves in each partition when it takes over. */
const leaveMarkers = (topic: string) =>
  Effect.scoped(TopicWriter.make({ clientId: "test", fence: topic, topics: [topic], batchBytes: 1_000, compression: "none" }))

layer(services, { excludeTestServices: true })("a reader of a topic with markers of transactions", (it) => {
  it.effect("moves its checkpoint over them, wherever they are", () =>
    Effect.gen(function*() {
      const { append, topic } = yield* topicWith("markers", 2)
      yield* leaveMarkers(topic) // offset 2, behind records
      const skips = yield* Queue.unbounded<readonly [bigint, bigint]>()
      let checkpoint = 0n
      const queue = yield* openReader({
        groupId: `${topic}.reader`,
        topics: [topic],
        maxBytesPerPartition: 1_048_576, lingerMillis: 0, remedy: "mend it",
        nextOffsets: () => Promise.resolve([checkpoint]),
        skip: (_, fromOffset, nextOffset) => {
          if (checkpoint !== fromOffset) return Promise.resolve(false)
          checkpoint = nextOffset
          Queue.offerUnsafe(skips, [fromOffset, nextOffset])
          return Promise.resolve(true)
        }
      })
      const apply = Effect.gen(function*() {
        const { applied, fromOffset, nextOffset } = yield* Queue.take(queue)
        checkpoint = nextOffset
        applied()
        return [fromOffset, nextOffset]
      })
      assert.deepStrictEqual(yield* apply, [0n, 3n])
      yield* leaveMarkers(topic) // alone
      assert.deepStrictEqual(yield* Queue.take(skips), [3n, 4n])
      yield* leaveMarkers(topic)
      assert.deepStrictEqual(yield* Queue.take(skips), [4n, 5n])
      yield* Effect.promise(() => append(1))
      assert.deepStrictEqual(yield* apply, [5n, 6n])
    }).pipe(Effect.scoped))
})

layer(services, { excludeTestServices: true })("a reader whose checkpoint is behind what Kafka remembers of its group", (it) => {
  it.effect("reads what is between, whatever the markers at the end say", () =>
    Effect.gen(function*() {
      const { topic } = yield* topicWith("restored", 2)
      const { admin } = yield* TestTopics
      yield* leaveMarkers(topic) // offset 2
      const groupId = `${topic}.reader`
      yield* Effect.promise(() => admin.setOffsets({ groupId, topic, partitions: [{ partition: 0, offset: "2" }] }))
      const queue = yield* openReader({
        groupId,
        topics: [topic],
        maxBytesPerPartition: 1_048_576, lingerMillis: 0, remedy: "mend it",
        // Late, so that the markers behind the group's offset have been fetched by then.
        nextOffsets: () => new Promise((resolve) => setTimeout(() => resolve([0n]), 700)),
        skip: (_, fromOffset) => Promise.resolve(fromOffset === 0n)
      })
      const { fromOffset, nextOffset } = yield* Queue.take(queue)
      assert.deepStrictEqual([fromOffset, nextOffset], [0n, 3n])
    }).pipe(Effect.scoped))
})

layer(services, { excludeTestServices: true })("a reader that starts while capture does", (it) => {
  it.effect("moves its checkpoint over a marker that is fetched together with one that it has seen", () =>
    Effect.gen(function*() {
      const { create, prefix } = yield* TestTopics
      const partitions = 48
      const topic = `${prefix}.both-start`
      yield* Effect.promise(() => create([{ topic, numPartitions: partitions }]))
      yield* leaveMarkers(topic) // offset 0, by setup
      const skips = yield* Queue.unbounded<readonly [number, bigint]>()
      yield* openReader({
        groupId: `${topic}.reader`,
        topics: [topic],
        maxBytesPerPartition: 1_048_576, lingerMillis: 0, remedy: "mend it",
        nextOffsets: (asked) => new Promise((resolve) => setTimeout(() => resolve(asked.map(() => 0n)), 50)),
        skip: ({ partition }, _, nextOffset) => new Promise((resolve) => setTimeout(() => {
          Queue.offerUnsafe(skips, [partition, nextOffset])
          resolve(true)
        }, 10))
      })
      yield* Queue.take(skips)
      yield* leaveMarkers(topic) // offset 1, by capture
      const reached = new Set<number>()
      while (reached.size < partitions) {
        const [partition, nextOffset] = yield* Queue.take(skips)
        if (nextOffset === 2n) reached.add(partition)
      }
    }).pipe(Effect.scoped))
})

layer(services, { excludeTestServices: true })("dead letters", (it) => {
  it.effect("take a whole fetch of bad records, and one too large without its value", () =>
    Effect.gen(function*() {
      const { prefix, readTopic } = yield* TestTopics
      const { setAside } = yield* openDeadLetters("p")
      const record = (n: number, bytes: number): RawRecord => ({
        topic: `${prefix}.bad`, partition: 0, offset: BigInt(n), key: Buffer.from(String(n)), value: Buffer.alloc(bytes, "x"), headers: []
      })
      const why = { reason: "made", message: "made up" }
      yield* setAside([...Array.from({ length: 2_000 }, (_, n) => record(n, 900)), record(2_000, 3_000_000)].map((record) => ({ record, why })))
      const letters = yield* Effect.promise(() => readTopic(`${prefix}.bad.p.dlq`))
      assert.deepStrictEqual(letters.map(({ key }) => String(key)), Array.from({ length: 2_001 }, (_, n) => String(n)))
      assert.strictEqual(letters.at(-1)!.value, null)
      assert.strictEqual(letters.at(-1)!.headers["__cdc.errors.dropped.value.bytes"], "3000000")
      assert.strictEqual(letters[0]!.headers["__connect.errors.exception.class.name"], "made")
    }))
})
