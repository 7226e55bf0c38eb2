import { Effect } from "effect"
import type { CaptureState } from "../capture/CaptureState.ts"
import { AppConfig } from "../Config.ts"
import { Kafka } from "../connections/Kafka.ts"
import type { KafkaError } from "../connections/KafkaError.ts"
import { Postgres } from "../connections/Postgres.ts"
import type { OutgoingRecord } from "../domain/OutgoingRecord.ts"
import * as TopicName from "../domain/TopicName.ts"
import * as TooLarge from "../publish/TooLarge.ts"
import type { TopicWriter } from "../publish/TopicWriter.ts"
import * as Topics from "../publish/Topics.ts"
import { CaptureObserver } from "./CaptureObserver.ts"

/**
 * Capture's dead letters: what was too large for its topic, on `<topic>.capture.dlq`. They travel with the records that they tell of,
 * in one writer's order and with those records' positions, so that a restart does not repeat them.
 */
export interface CaptureDeadLetters {
  /** Those of their topics that are there: to be fenced, and read back, as the tables' are. */
  readonly topics: ReadonlyArray<string>
  /** Makes a topic that a letter still lacks, and counts the letters that Kafka has acknowledged. */
  readonly through: (writer: TopicWriter) => TopicWriter
}

export const open = Effect.fnUntraced(function*(
  state: CaptureState,
  tableTopics: Iterable<string>
): Effect.fn.Return<CaptureDeadLetters, KafkaError, AppConfig | Kafka | Postgres> {
  const settings = (yield* AppConfig).kafka
  const kafka = yield* Kafka
  const sql = yield* Postgres
  const observer = yield* CaptureObserver
  const names = [...tableTopics].map((topic) => TopicName.ofDeadLetters(topic, TooLarge.connectorName))
  const there = new Set((yield* Topics.describe(names)).keys())

  const create = (topics: ReadonlyArray<string>) =>
    Topics.ensureDeadLetters(topics, settings).pipe(
      Effect.provideService(Kafka, kafka),
      Effect.tap(() => Effect.sync(() => topics.forEach((topic) => there.add(topic))))
    )

  /** What may be written: without letters that have no topic, since whoever may not make topics must not stop for them. */
  const deliverable = Effect.fnUntraced(function*(records: ReadonlyArray<OutgoingRecord>, letters: ReadonlyArray<OutgoingRecord>) {
    const missing = [...new Set(letters.map(({ topic }) => topic))].filter((topic) => !there.has(topic))
    if (missing.length === 0) return records
    return yield* create(missing).pipe(
      Effect.as(records),
      Effect.catchIf((error) => !error.isRetryable, (error) =>
        Effect.as(
          Effect.logError(`no dead letters for ${missing.join(", ")}: ${error.message}`),
          records.filter((record) => !missing.includes(record.topic) || !TooLarge.isLetter(record))
        ))
    )
  })

  const tell = Effect.fnUntraced(function*(letters: ReadonlyArray<OutgoingRecord>) {
    for (const [topic, ofTopic] of Map.groupBy(letters, ({ topic }) => topic)) {
      yield* Effect.logWarning("records were too large for their topic; what was done, and their keys, are in the dead letters", {
        topic, count: ofTopic.length
      })
    }
    for (const [reason, ofReason] of Map.groupBy(letters, TooLarge.reasonOf)) observer.deadLetters(reason, ofReason.length)
    yield* state.setAside(sql, letters.length).pipe(
      Effect.catch((error) => Effect.logDebug(`dead letters not counted: ${error.message}`))
    )
  })

  return {
    topics: [...there],
    through: (writer) => ({
      write: (records) => {
        const letters = records.filter(TooLarge.isLetter)
        if (letters.length === 0) return writer.write(records)
        return deliverable(records, letters).pipe(Effect.flatMap(writer.write), Effect.andThen(tell(letters)))
      }
    })
  }
})
