import { assert, layer } from "@effect/vitest"
import { Context, Effect, Layer, References, Schedule, Schema } from "effect"
import { AppConfig } from "../../src/Config.ts"
import { Kafka } from "../../src/connections/Kafka.ts"
import { Postgres } from "../../src/connections/Postgres.ts"
import * as TopicName from "../../src/domain/TopicName.ts"
import { createSharedTables } from "../../src/materialize/Registration.ts"
import type { EntrySource } from "../../src/materialize/Pipeline.ts"
import { acceptBadRecords, countSuspects, listDeadLetters } from "../../src/run/DeadLetterList.ts"
import { verifyShadow } from "../../src/run/ShadowVerify.ts"
import { retryDeadLetters } from "../../src/run/DeadLetterRetry.ts"
import { runPipeline } from "../../src/run/PipelineLoop.ts"
import { PipelineObserver } from "../../src/run/PipelineObserver.ts"
import { pipelineOf } from "../materialize/Running.ts"
import { fresh, outreach, rowsOf, signal, signalRow } from "../materialize/SmallHub.ts"
import { TestDatabase } from "../support/TestDatabase.ts"
import { TestTopics } from "../support/TestTopics.ts"

const connections = Layer.mergeAll(Kafka.layer, Postgres.layer).pipe(
  Layer.provideMerge(Layer.unwrap(Effect.gen(function*() {
    const { brokers, prefix } = yield* TestTopics
    return AppConfig.layerOf({
      source: { databaseUrl: (yield* TestDatabase).url },
      kafka: { brokers: brokers.join(","), topicPrefix: prefix },
      pipelines: { deadLetterBreaker: { moreThan: 3, morePercentThan: 50, ofLast: 100 } }
    })
  })))
)
const services = connections.pipe(Layer.provideMerge(Layer.mergeAll(TestDatabase.layer, TestTopics.layer)))

const envelope = (n: number, row: object | undefined) => ({
  key: JSON.stringify({ signal_id: signal(n) }),
  value: row === undefined ? "not JSON" : JSON.stringify({
    op: "c", after: { signal_id: signal(n), ...row }, source: { epoch: 1, ts_us: 1_767_225_600_000_000 }, transaction: { id: `0:${100 + n}`, total_order: 1 }
  })
})

/** Reads rows whose outreach is no uuid as if they were the first outreach's. */
const lenient = (source: EntrySource): EntrySource => {
  const decode = Schema.decodeUnknownSync(source.row)
  return { ...source, row: Schema.Unknown, entry: (row: object) => source.entry(decode({ ...row, outreach_id: outreach(1) }) as never) } as EntrySource
}

const until = <E, R>(check: Effect.Effect<boolean, E, R>) =>
  check.pipe(Effect.filterOrFail((is) => is, () => "not yet" as const), Effect.retry({ schedule: Schedule.spaced("100 millis"), times: 200 }))

layer(services, { excludeTestServices: true })("a pipeline whose records are all bad", (it) => {
  it.effect("pauses before it moves them, goes on once they are accepted, lists them, and retries what can be", () =>
    Effect.gen(function*() {
      yield* fresh
      const { admin, client, create, prefix } = yield* TestTopics
      const settings = yield* AppConfig
      const { source } = settings
      const postgres = yield* Postgres
      const pipeline = yield* pipelineOf("bit-scores")
      for (const early of [Effect.asVoid(acceptBadRecords(pipeline)), Effect.asVoid(listDeadLetters([pipeline], {}, 1)), Effect.asVoid(verifyShadow(pipeline, 1))]) {
        assert.match((yield* Effect.flip(early)).message, /run `cdc setup` first/)
      }
      yield* createSharedTables(postgres, source.stateSchema)
      const topic = `${prefix}.outreach.bit_signals`
      yield* Effect.promise(async () => {
        await create(pipeline.sources.map(({ table }) => ({ topic: TopicName.ofTable(prefix, table), numPartitions: 1 })))
        const producer = client.producer()
        await producer.connect()
        const bad = [1, 2, 3, 4, 5].map((n) => envelope(n, n === 5 ? undefined : { ...signalRow(1), outreach_id: 7 }))
        await producer.send({ topic, messages: [...bad, envelope(6, signalRow(1))] })
        await producer.disconnect()
      })
      const seen: Array<string> = []
      const observer = { ...Context.get(Context.empty(), PipelineObserver), state: (_: string, state: string, why?: string) => void seen.push(`${state} ${why ?? ""}`) }
      yield* Effect.forkScoped(runPipeline(pipeline).pipe(
        Effect.provideService(PipelineObserver, observer), Effect.provideService(References.MinimumLogLevel, "None")
      ))
      yield* until(Effect.sync(() => seen.some((state) => state.startsWith("paused"))))
      assert.match(seen.find((state) => state.startsWith("paused"))!, /cdc dead-letters accept bit-scores/)
      assert.notInclude(yield* Effect.promise(() => admin.listTopics()), `${topic}.bit-scores.dlq`)
      assert.deepStrictEqual((yield* listDeadLetters([pipeline], {}, 10)).counts, [])
      assert.deepStrictEqual(yield* rowsOf("select paused_noted_at is not null from cdc.pipelines"), ["(t)"])

      assert.isTrue(yield* acceptBadRecords(pipeline))
      yield* until(Effect.map(rowsOf("select from outreach.bit_scores"), (rows) => rows.length === 1))
      assert.isTrue(seen.at(-1)!.startsWith("running"))
      assert.deepStrictEqual(yield* rowsOf("select paused_noted_at is null and paused_why is null from cdc.pipelines"), ["(t)"], "nobody is told so any longer")
      const { counts, letters } = yield* listDeadLetters([pipeline], {}, 3)
      assert.deepStrictEqual(counts.map(({ open, reason, suspectRows }) => [reason, open, suspectRows]), [["not-json", 1, 1], ["unreadable-row", 4, 4]])
      assert.strictEqual(letters.length, 3)
      // Whatever has not run, or was made by another version, hides nothing of the others.
      const others = [yield* pipelineOf("campaign-totals"), { ...pipeline, version: 99 }]
      assert.deepStrictEqual((yield* listDeadLetters(others, {}, 3)).counts, counts)
      const asShadow = AppConfig.of({ ...settings, pipelines: { ...settings.pipelines, modes: { ...settings.pipelines.modes, "bit-scores": "shadow" } } })
      assert.deepStrictEqual((yield* Effect.provideService(listDeadLetters([pipeline], {}, 3), AppConfig, asShadow)).counts, [], "nothing is built in shadow")
      assert.match((yield* Effect.flip(Effect.provideService(retryDeadLetters(pipeline, {}), AppConfig, asShadow))).message, /in shadow mode, and a retry would write/)
      const refused = yield* Effect.flip(retryDeadLetters({ ...pipeline, version: 99 }, {}))
      assert.match(refused.message, /made by version 1, this is version 99; .*`cdc replay bit-scores`/)
      assert.strictEqual(yield* countSuspects(postgres, source.stateSchema, pipeline), 5)

      const inVain = yield* retryDeadLetters(pipeline, {})
      assert.deepInclude({ ...inVain, stillBad: inVain.stillBad.length }, { applied: 0, closed: 0, stillBad: 5, missing: 0 })
      // The cause is gone: a version that reads what this one could not.
      const mended = { ...pipeline, sources: pipeline.sources.map((source) => source.kind === "entries" ? lenient(source) : source) }
      const byKey = yield* retryDeadLetters(mended, { keys: [signal(1)] })
      assert.deepInclude(byKey, { applied: 1, closed: 0, missing: 0 })
      const rest = yield* Effect.all([retryDeadLetters(mended, {}), retryDeadLetters(mended, {})], { concurrency: 2 })
      assert.strictEqual(rest.reduce((sum, { applied }) => sum + applied, 0), 3, "once, by whichever of the two")
      assert.deepStrictEqual(yield* rowsOf("select outreach_id, signal_count from outreach.bit_scores"), [`(${outreach(1)},5)`])
      assert.strictEqual(yield* countSuspects(postgres, source.stateSchema, pipeline), 1, "what is not JSON stays")
    }).pipe(Effect.scoped), { timeout: 60_000 })
})
