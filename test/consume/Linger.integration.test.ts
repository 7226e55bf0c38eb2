import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Layer, Queue } from "effect"
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
  it.live("gets a few records no sooner than that", () =>
    Effect.gen(function*() {
      const { client, create, prefix } = yield* TestTopics
      const topic = `${prefix}.lingered`
      yield* Effect.promise(async () => {
        await create([{ topic, numPartitions: 1 }])
        const producer = client.producer()
        await producer.connect()
        await producer.send({ topic, messages: [{ key: "k", value: "no change" }] })
        await producer.disconnect()
      })
      const open = openReader({
        groupId: `${topic}.reader`, topics: [topic], maxBytesPerPartition: 1_048_576, lingerMillis, remedy: "mend it",
        nextOffsets: async () => [0n],
        skip: () => Promise.resolve(true)
      })
      const [took, fetched] = yield* Effect.timed(Effect.flatMap(open, Queue.take))
      assert.isAtLeast(Duration.toMillis(took), lingerMillis)
      fetched.applied()
    }).pipe(Effect.scoped, Effect.provide(services)))
})

const lingerMillis = 1_500
