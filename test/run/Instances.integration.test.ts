import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Fiber, Layer, References, Schedule } from "effect"
import { AppConfig } from "../../src/Config.ts"
import { Kafka } from "../../src/connections/Kafka.ts"
import { Postgres } from "../../src/connections/Postgres.ts"
import * as TopicName from "../../src/domain/TopicName.ts"
import { createSharedTables } from "../../src/materialize/Registration.ts"
import { runPipeline } from "../../src/run/PipelineLoop.ts"
import { pipelineOf } from "../materialize/Running.ts"
import { fresh, rowsOf, send, sendRow } from "../materialize/SmallHub.ts"
import { committed, type Tell, telling } from "../support/Telling.ts"
import * as TestConfig from "../support/TestConfig.ts"
import { TestDatabase } from "../support/TestDatabase.ts"
import { TestTopics } from "../support/TestTopics.ts"

const servicesWith = (overrides: TestConfig.Overrides) => Layer.mergeAll(Kafka.layer, Postgres.layer).pipe(
  Layer.provideMerge(TestConfig.layer(overrides)),
  Layer.provideMerge(Layer.mergeAll(TestDatabase.layer, TestTopics.layer))
)
const services = servicesWith({})

const partitions = 4

const until = <E, R>(check: Effect.Effect<boolean, E, R>) =>
  check.pipe(Effect.filterOrFail((is) => is, () => "not yet" as const), Effect.retry({ schedule: Schedule.spaced("100 millis"), times: 300 }))

/** A hub and topics of its own, and instances of campaign-totals that read them. Each send is opened by a second record, in another batch or the same. */
const makeStage = Effect.gen(function*() {
  yield* fresh
  const { admin, client, create, prefix } = yield* TestTopics
  const { source } = yield* AppConfig
  const postgres = yield* Postgres
  const pipeline = yield* pipelineOf("campaign-totals")
  yield* createSharedTables(postgres, source.stateSchema)
  const [sends, ...others] = pipeline.sources.map(({ table }) => TopicName.ofTable(prefix, table))
  yield* Effect.promise(() => create([sends!, ...others].map((topic) => ({ topic, numPartitions: partitions }))))
  const producer = yield* Effect.acquireRelease(
    Effect.promise(async () => {
      const producer = client.producer()
      await producer.connect()
      return producer
    }),
    (producer) => Effect.promise(() => producer.disconnect())
  )
  let lsn = 100
  let sent = 0
  const record = (n: number, row: object) => ({
    partition: n % partitions,
    key: JSON.stringify({ send_id: send(n) }),
    value: JSON.stringify({ op: "c", after: { send_id: send(n), ...row }, source: { epoch: 1, ts_us: 1_767_225_600_000_000 }, transaction: { id: `0:${++lsn}`, total_order: 1 } })
  })
  const openedAt = "2026-01-02T00:00:00.000000Z"
  return {
    produce: (count: number) =>
      Effect.promise(async () => {
        const numbers = Array.from({ length: count }, (_, n) => sent + n)
        sent += count
        const rowOf = (n: number) => sendRow(1 + n % 2, { email_to: `${n}@example.com` })
        await producer.send({ topic: sends!, messages: numbers.flatMap((n) => [record(n, rowOf(n)), record(n, { ...rowOf(n), opened_at: openedAt })]) })
      }),
    start: (tell: Tell = () => Effect.void) =>
      Effect.forkScoped(runPipeline(pipeline).pipe(
        Effect.provideService(Postgres, telling(postgres, tell)),
        Effect.provideService(References.MinimumLogLevel, "None")
      )),
    /** All that was produced has been applied; each record once. */
    applied: Effect.gen(function*() {
      const half = sent / 2
      yield* until(Effect.map(
        rowsOf("select from cdc.offsets where topic = $1 having sum(next_offset) >= $2", [sends, sent * 2]), (rows) => rows.length === 1))
      assert.deepStrictEqual(yield* rowsOf("select applied from cdc.pipelines"), [`(${sent * 2})`])
      assert.deepStrictEqual(yield* rowsOf("select total_targeted, total_sent, total_opened from outreach.campaigns"), Array(2).fill(`(${half},${half},${half})`))
    }),
    committedToKafka: Effect.promise(async () => {
      const [offsets] = await admin.fetchOffsets({ groupId: TopicName.groupOfPipeline(prefix, pipeline.name), topics: [sends!] })
      return offsets!.partitions.reduce((sum, { offset }) => sum + Math.max(0, Number(offset)), 0)
    }),
    group: Effect.promise(async () => (await admin.describeGroups([TopicName.groupOfPipeline(prefix, pipeline.name)])).groups[0]!)
  }
})

/** Halts at a step, once, and says so. */
const makeGate = Effect.gen(function*() {
  const reached = yield* Deferred.make<void>()
  const opened = yield* Deferred.make<void>()
  const halt = Effect.andThen(Deferred.succeed(reached, undefined), Deferred.await(opened))
  return { reached: Deferred.await(reached), open: Deferred.succeed(opened, undefined), halt }
})

describe("instances of a pipeline", () => {
  it.live("that are killed between the commit in Postgres and the one in Kafka are followed by others, which apply nothing twice", () =>
    Effect.gen(function*() {
      const stage = yield* makeStage
      const gate = yield* makeGate
      let isBatch = false
      const first = yield* stage.start((doing) =>
        Effect.suspend(() => {
          if (doing === "Advancing offsets") isBatch = true
          return isBatch && doing === committed ? gate.halt : Effect.void
        }))
      yield* stage.produce(100)
      yield* gate.reached
      assert.isAbove((yield* rowsOf("select from cdc.offsets where next_offset > 0")).length, 0)
      yield* Fiber.interrupt(first)
      assert.strictEqual(yield* stage.committedToKafka, 0)
      yield* stage.start()
      yield* stage.produce(50)
      yield* stage.applied
    }).pipe(Effect.scoped, Effect.provide(services)), 60_000)

  it.live("share the partitions, whichever of them has a batch in hand when another one joins", () =>
    Effect.gen(function*() {
      const stage = yield* makeStage
      const gate = yield* makeGate
      yield* stage.start((doing) => doing === "Reading offsets" ? gate.halt : Effect.void)
      yield* stage.produce(100)
      yield* gate.reached
      yield* stage.start()
      yield* until(Effect.map(stage.group, ({ state }) => state === "PreparingRebalance"))
      yield* stage.produce(50)
      yield* gate.open
      yield* stage.applied
      yield* until(Effect.map(stage.group, ({ members, state }) => state === "Stable" && members.length === 2))
      yield* stage.produce(100)
      yield* stage.applied
    }).pipe(Effect.scoped, Effect.provide(services)), 60_000)

  it.live("apply two batches side by side: one that waits holds up no other", () =>
    Effect.gen(function*() {
      const stage = yield* makeStage
      const gate = yield* makeGate
      let hasHalted = false
      yield* stage.produce(partitions)
      yield* stage.start((doing) =>
        Effect.suspend(() => {
          if (doing !== "Reading offsets" || hasHalted) return Effect.void
          hasHalted = true
          return gate.halt
        }))
      yield* gate.reached
      yield* until(Effect.map(rowsOf("select from cdc.offsets where next_offset = 2"), (rows) => rows.length === partitions - 1))
      yield* gate.open
      yield* stage.applied
    }).pipe(Effect.scoped, Effect.provide(servicesWith({ consume: { maxBatchChanges: 1 } }))), 60_000)

  it.live("that wake after their partitions have moved, with a batch in hand, apply nothing of it and go on with the others", () =>
    Effect.gen(function*() {
      const stage = yield* makeStage
      const gate = yield* makeGate
      yield* stage.start((doing) => doing === "Reading offsets" ? gate.halt : Effect.void)
      yield* stage.produce(100)
      yield* gate.reached
      yield* stage.start()
      yield* stage.applied // by the second, once the group has waited for the first long enough
      yield* stage.produce(50)
      yield* gate.open
      yield* stage.applied
      yield* stage.produce(50)
      yield* stage.applied
    }).pipe(Effect.scoped, Effect.provide(services)), 60_000)
})
