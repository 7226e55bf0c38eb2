import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Queue } from "effect"
import { Kafka } from "../../src/connections/Kafka.ts"
import { openReader } from "../../src/consume/TopicReader.ts"
import * as TestConfig from "../support/TestConfig.ts"
import { TestDatabase } from "../support/TestDatabase.ts"
import { TestTopics } from "../support/TestTopics.ts"

const services = Kafka.layer.pipe(
  Layer.provideMerge(TestConfig.layer()),
  Layer.provideMerge(Layer.mergeAll(TestDatabase.layer, TestTopics.layer))
)

describe("a reader that lingers", () => {
  it.live("gets nothing before a fetch is worth it, and then all of it at once", () =>
    Effect.gen(function*() {
      const { client, create, prefix } = yield* TestTopics
      const topic = `${prefix}.lingered`
      yield* Effect.promise(() => create([{ topic, numPartitions: 1 }]))
      const producer = client.producer()
      const append = (bytes: number) => producer.send({ topic, messages: [{ key: "k", value: "x".repeat(bytes) }] })
      yield* Effect.promise(() => producer.connect())
      yield* Effect.addFinalizer(() => Effect.promise(() => producer.disconnect()))
      const queue = yield* openReader({
        groupId: `${topic}.reader`,
        topics: [topic],
        maxBytesPerPartition: 10_000, lingerMillis: 10_000, remedy: "mend it",
        nextOffsets: async () => [0n],
        skip: () => Promise.resolve(true)
      })
      yield* Effect.promise(async () => {
        for (let record = 0; record < 5; record++) await append(100)
        await append(10_000)
      })
      const fetched = yield* Queue.take(queue)
      assert.strictEqual(fetched.unreadable.length, 5) // with what made it worth it there would be too much for one
      fetched.applied()
      const next = yield* Queue.take(queue)
      assert.strictEqual(next.unreadable.length, 1)
      next.applied()
    }).pipe(Effect.scoped, Effect.provide(services)))
})
