import { assert, layer } from "@effect/vitest"
import { Effect, Layer, Queue } from "effect"
import { Kafka } from "../../src/connections/Kafka.ts"
import { openReader } from "../../src/consume/TopicReader.ts"
import * as TestConfig from "../support/TestConfig.ts"
import { TestDatabase } from "../support/TestDatabase.ts"
import { TestTopics } from "../support/TestTopics.ts"

const services = Kafka.layer.pipe(Layer.provideMerge(TestConfig.layer()), Layer.provideMerge(Layer.mergeAll(TestDatabase.layer, TestTopics.layer)))

layer(services, { excludeTestServices: true })("a reader whose user fails", (it) => {
  it.effect("closes although nobody says what became of a batch, which is then read again", () =>
    Effect.gen(function*() {
      const { client, create, prefix } = yield* TestTopics
      const topic = `${prefix}.public.abandoned`
      yield* Effect.promise(() => create([{ topic, numPartitions: 1 }]))
      const producer = client.producer()
      yield* Effect.promise(() => producer.connect())
      yield* Effect.promise(() => producer.send({ topic, messages: [{ key: "a", value: "not an envelope" }] }))
      yield* Effect.promise(() => producer.disconnect())

      const firstOffset = Effect.scoped(Effect.gen(function*() {
        const queue = yield* openReader({
          groupId: `${prefix}.abandoned`,
          topics: [topic],
          maxBytesPerPartition: 1_048_576, lingerMillis: 0, remedy: "mend it",
          nextOffsets: (partitions) => Promise.resolve(partitions.map(() => 0n)),
          skip: () => Promise.resolve(true)
        })
        return (yield* Queue.take(queue)).unreadable[0]!.record.offset // and no verdict
      }))
      assert.strictEqual(yield* firstOffset, 0n)
      assert.strictEqual(yield* firstOffset, 0n)
    }), 20_000)
})
