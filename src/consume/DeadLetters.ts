import type { Producer } from "@platformatic/kafka"
import { Effect, type Scope, Semaphore } from "effect"
import { AppConfig } from "../Config.ts"
import { Kafka } from "../connections/Kafka.ts"
import { fromCause, type KafkaError } from "../connections/KafkaError.ts"
import { deadLetter } from "../domain/Headers.ts"
import type { BadInput, RawRecord } from "../domain/SourceChange.ts"
import * as TopicName from "../domain/TopicName.ts"

export interface DeadLetters {
  /**
   * Repeats records unchanged on `<topic>.<pipeline>.dlq`, with headers that say where each came from and why it is there
   * (Kafka Connect's names). Acknowledged by all replicas when it returns; at least once.
   */
  readonly setAside: (
    records: ReadonlyArray<{ readonly record: RawRecord; readonly why: BadInput }>
  ) => Effect.Effect<void, KafkaError>
}

/** The dead letters of one pipeline. Their topics are made with the first letter. */
export const openDeadLetters = Effect.fnUntraced(function*(
  pipeline: string
): Effect.fn.Return<DeadLetters, never, Kafka | AppConfig | Scope.Scope> {
  const kafka = yield* Kafka
  const { kafka: settings } = yield* AppConfig
  const producer = yield* kafka.producer(`cdc-dead-letters-${pipeline}`)
  const sending = yield* Semaphore.make(1) // one send outstanding per producer
  const ready = new Set<string>()

  const ensureTopics = (topics: ReadonlyArray<string>) =>
    topics.every((topic) => ready.has(topic)) ? Effect.void : Effect.tap(
      kafka.admin("Creating dead-letter topics", (admin) =>
        admin.createTopics({
          waitForLeaders: true,
          topics: topics.map((topic) => ({
            topic,
            numPartitions: 1,
            replicationFactor: settings.replicationFactor,
            configEntries: [{ name: "retention.ms", value: String(settings.deadLetterRetentionHours * 3_600_000) }]
          }))
        })),
      () => Effect.sync(() => topics.forEach((topic) => ready.add(topic)))
    )

  const setAside: DeadLetters["setAside"] = Effect.fnUntraced(function*(records) {
    if (records.length === 0) return
    const letters = records.map(({ record, why }) => letterOf(pipeline, record, why))
    yield* ensureTopics([...new Set(letters.map(({ topic }) => topic))])
    yield* sending.withPermit(send(producer, letters))
  })

  return { setAside }
})

interface Letter {
  readonly topic: string
  readonly key?: Buffer
  readonly value?: Buffer
  readonly headers: Map<Buffer, Buffer>
}

const letterOf = (pipeline: string, record: RawRecord, why: BadInput): Letter => {
  const reasons: ReadonlyArray<readonly [string, string]> = [
    [deadLetter.topic, record.topic],
    [deadLetter.partition, String(record.partition)],
    [deadLetter.offset, String(record.offset)],
    [deadLetter.connectorName, pipeline],
    [deadLetter.stage, "PIPELINE"],
    [deadLetter.exceptionClass, why.reason],
    [deadLetter.exceptionMessage, why.message]
  ]
  const headers = new Map<Buffer, Buffer>()
  for (const [name, value] of record.headers) headers.set(Buffer.from(name), value)
  for (const [name, value] of reasons) headers.set(Buffer.from(name), Buffer.from(value))
  return {
    topic: TopicName.ofDeadLetters(record.topic, pipeline),
    ...(record.key === null ? {} : { key: record.key }),
    ...(record.value === null ? {} : { value: record.value }),
    headers
  }
}

const send = (producer: Producer<Buffer, Buffer, string, string>, letters: ReadonlyArray<Letter>) =>
  Effect.tryPromise({
    try: () => producer.send({ messages: letters.map((letter) => ({ ...letter, partition: 0 })) as never }),
    catch: (cause) => fromCause("Writing dead letters", cause)
  })
