import type { Producer } from "@platformatic/kafka"
import { Effect, type Scope, Semaphore } from "effect"
import { AppConfig } from "../Config.ts"
import { Kafka } from "../connections/Kafka.ts"
import { fromCause, KafkaError } from "../connections/KafkaError.ts"
import { createTopics } from "../connections/NewTopics.ts"
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
  const { kafka: settings, publish } = yield* AppConfig
  const producer = yield* kafka.producer(`cdc-dead-letters-${pipeline}`)
  const sending = yield* Semaphore.make(1) // one send outstanding per producer
  const ready = new Set<string>()

  const ensureTopics = (topics: ReadonlyArray<string>) =>
    topics.every((topic) => ready.has(topic)) ? Effect.void : Effect.tap(
      createTopics("Creating dead-letter topics", topics.map((topic) => ({
        topic,
        numPartitions: 1,
        replicationFactor: settings.replicationFactor,
        configEntries: [{ name: "retention.ms", value: String(settings.deadLetterRetentionHours * 3_600_000) }]
      }))).pipe(Effect.provideService(Kafka, kafka)),
      () => Effect.sync(() => topics.forEach((topic) => ready.add(topic)))
    )

  const setAside: DeadLetters["setAside"] = Effect.fnUntraced(function*(records) {
    if (records.length === 0) return
    const letters = records.map(({ record, why }) => withinLimit(letterOf(pipeline, record, why), publish.batchBytes))
    yield* ensureTopics([...new Set(letters.map(({ topic }) => topic))])
    yield* sending.withPermit(Effect.forEach(cut(letters, publish.batchBytes), (part) => send(producer, part), { discard: true })).pipe(
      // The caller holds a transaction open meanwhile: better undone, and done again, than waiting for Kafka to return.
      Effect.timeoutOrElse({ duration: "10 seconds", orElse: () => Effect.fail(unanswered) })
    )
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

const unanswered = new KafkaError({ reason: "unreachable", message: "Writing dead letters: no acknowledgement for 10 s; is Kafka up?" })

const bytesOf = ({ headers, key, value }: Letter): number => {
  let bytes = (key?.length ?? 0) + (value?.length ?? 0)
  for (const [name, header] of headers) bytes += name.length + header.length
  return bytes
}

/** A record that the dead letters' topic would refuse goes there without its value, and says so. */
const withinLimit = (letter: Letter, maxBytes: number): Letter => {
  if (letter.value === undefined || bytesOf(letter) <= maxBytes) return letter
  const { value, ...rest } = letter
  return { ...rest, headers: new Map([...letter.headers, [Buffer.from(deadLetter.droppedValueBytes), Buffer.from(String(value.length))]]) }
}

/** In order, so that no request is larger than a topic takes: a bad deploy makes every record of a fetch a letter. */
const cut = (letters: ReadonlyArray<Letter>, maxBytes: number): ReadonlyArray<ReadonlyArray<Letter>> => {
  const parts: Array<Array<Letter>> = []
  let bytes = Infinity
  for (const letter of letters) {
    bytes += bytesOf(letter)
    if (bytes > maxBytes) {
      parts.push([])
      bytes = bytesOf(letter)
    }
    parts.at(-1)!.push(letter)
  }
  return parts
}

const send = (producer: Producer<Buffer, Buffer, string, string>, letters: ReadonlyArray<Letter>) =>
  Effect.tryPromise({
    try: () => producer.send({ messages: letters.map((letter) => ({ ...letter, partition: 0 })) as never }),
    catch: (cause) => fromCause("Writing dead letters", cause)
  })
