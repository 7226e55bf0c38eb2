import { assert, layer } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { AppConfig } from "../../src/Config.ts"
import { Kafka } from "../../src/connections/Kafka.ts"
import { Postgres } from "../../src/connections/Postgres.ts"
import { makeCheckpoint } from "../../src/materialize/Checkpoint.ts"
import { createSharedTables } from "../../src/materialize/Registration.ts"
import { stateTables } from "../../src/materialize/StateTables.ts"
import { openCheckpoint } from "../../src/run/PipelineCheckpoint.ts"
import * as TestConfig from "../support/TestConfig.ts"
import { TestDatabase } from "../support/TestDatabase.ts"
import { TestTopics } from "../support/TestTopics.ts"

const services = Layer.mergeAll(Kafka.layer, Postgres.layer).pipe(
  Layer.provideMerge(TestConfig.layer()),
  Layer.provideMerge(Layer.mergeAll(TestDatabase.layer, TestTopics.layer))
)

layer(services, { excludeTestServices: true })("a checkpoint", (it) => {
  it.effect("is gone on from while the topic still has what follows it, and deletes among it", () =>
    Effect.gen(function*() {
      const { source } = yield* AppConfig
      const { admin, client, create, prefix } = yield* TestTopics
      const postgres = yield* Postgres
      const topic = `${prefix}.public.t`
      yield* Effect.promise(async () => {
        await create([{ topic, numPartitions: 1 }])
        const producer = client.producer()
        await producer.connect()
        await producer.send({ topic, messages: Array.from({ length: 10 }, (_, n) => ({ key: String(n), value: "1" })) })
        await producer.disconnect()
      })
      yield* createSharedTables(postgres, source.stateSchema)
      yield* postgres.query("Registering", "insert into cdc.pipelines (name, version, settings_hash, generation) values ('p', 1, '', 1)")
      const checkpoint = makeCheckpoint(stateTables(source.stateSchema, "p", 1), "p")
      const open = openCheckpoint("p", [topic], { checkpoint })
      const standAt = (offset: number, hours: number) =>
        postgres.query(
          "Standing",
          `with o as (update cdc.offsets set next_offset = $1, ord = 1, updated_at = now() - $2 * interval '1 hour')
           update cdc.pipelines set checked_at = now() - $2 * interval '1 hour'`,
          [offset, hours]
        )
      const next = Effect.flatMap(open, ({ nextOffsets }) => Effect.promise(() => nextOffsets([{ topic, partition: 0 }])))

      assert.deepStrictEqual(yield* next, [0n], "never read: any age")
      yield* standAt(4, 143)
      assert.deepStrictEqual(yield* next, [4n])
      yield* standAt(10, 1_000)
      assert.deepStrictEqual(yield* next, [10n], "at the end: there is nothing that it could have missed")
      yield* standAt(4, 145)
      const old = yield* Effect.flip(open)
      assert.deepInclude(old, { reason: "gap", isRetryable: false })
      assert.match(old.message, /145 hours old/)

      // Outside of what the topic holds: cut off in front, or shorter than it was.
      yield* standAt(4, 0)
      yield* Effect.promise(async () => {
        await admin.fetchTopicOffsets(topic) // or kafkajs does not know whom to ask
        await admin.deleteTopicRecords({ topic, partitions: [{ partition: 0, offset: "7" }] })
      })
      const outside = Effect.flatMap(open, ({ nextOffsets }) => Effect.promise(() => nextOffsets([{ topic, partition: 0 }]).then(String, (error: Error) => error.message)))
      assert.match(yield* outside, /offset 4, but the topic holds 7 to 10/)
      yield* standAt(11, 0)
      assert.match(yield* outside, /offset 11, but the topic holds 7 to 10/)
    }))
})
