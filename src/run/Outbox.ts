import { Context, Effect, type Scope } from "effect"
import { performance } from "node:perf_hooks"
import type { Kafka } from "../connections/Kafka.ts"
import type { KafkaError } from "../connections/KafkaError.ts"
import type { OutgoingRecord } from "../domain/OutgoingRecord.ts"
import * as TopicWriter from "../publish/TopicWriter.ts"
import { CaptureObserver } from "./CaptureObserver.ts"

/** Where capture's records go: Kafka, or a test's gate before it. */
export class Outbox extends Context.Reference<{
  readonly open: (options: TopicWriter.WriterOptions) => Effect.Effect<TopicWriter.TopicWriter, KafkaError, Kafka | Scope.Scope>
}>("cdc/run/Outbox", { defaultValue: () => ({ open: TopicWriter.make }) }) {}

/** Writes, and tells the observer what Kafka has acknowledged, once per topic. */
export const writeObserved = (writer: TopicWriter.TopicWriter, records: ReadonlyArray<OutgoingRecord>): Effect.Effect<void, KafkaError> =>
  Effect.gen(function*() {
    if (records.length === 0) return
    const observer = yield* CaptureObserver
    const started = performance.now()
    yield* writer.write(records)
    const seconds = (performance.now() - started) / 1_000
    const counts = new Map<string, number>()
    for (const { topic } of records) counts.set(topic, (counts.get(topic) ?? 0) + 1)
    for (const [topic, count] of counts) observer.published(topic, count, seconds)
  })
