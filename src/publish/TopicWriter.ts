import type { Producer } from "@platformatic/kafka"
import { Duration, Effect, Exit, Scope } from "effect"
import { Kafka } from "../connections/Kafka.ts"
import { fromCause, KafkaError } from "../connections/KafkaError.ts"
import type { OutgoingRecord } from "../domain/OutgoingRecord.ts"
import * as SendPlan from "./SendPlan.ts"
import * as Tails from "./Tails.ts"

/**
 * Writes records to Kafka, in order, one send outstanding.
 *
 * Guarantee: when `write` succeeds, every replica in sync has each of its records, once and in order. While Kafka is away the
 * producer itself repeats a send, under the same producer id and sequence numbers, so that brokers drop what they have. Where
 * that ends, nothing is repeated blindly: the producer is discarded, the ends of the partitions are read, and only what is
 * missing there is sent again. As long as Kafka is unreachable it goes on trying; it fails only with what can't pass.
 */
export interface TopicWriter {
  readonly write: (records: ReadonlyArray<OutgoingRecord>) => Effect.Effect<void, KafkaError>
}

/** The right to write. */
export interface Lease {
  /** Asked immediately before every attempt of every request. Once it is not held nothing is sent, and `write` never ends. */
  readonly isHeld: () => boolean
  /** Ends, however it does, when it is not held any more: the producer is then closed, so that its own repeats end, too. */
  readonly lost: Effect.Effect<unknown, unknown>
}

export interface WriterOptions {
  readonly clientId: string
  readonly batchBytes: number
  /** Told of each failed attempt that will be repeated, and of a send that stays unanswered; `attempt` counts from 1 for each request. */
  readonly onRetry?: (error: KafkaError, attempt: number) => Effect.Effect<void>
  /** Told when a request that was retried has arrived. */
  readonly onRecovery?: Effect.Effect<void>
  /** Whether this process may still write; by default it always may. */
  readonly lease?: Lease
  /** How long a send may stay unanswered until `onRetry` hears of it. */
  readonly unansweredMillis?: number
}

/** Far above any acknowledgement, below what an operator waits for. */
const defaultUnansweredMillis = 3_000

/** Back-off of repeated sends: the time until a returned broker is used again, against noise while it is away. */
const firstDelayMillis = 100
const maxDelayMillis = 1_000

export const make = Effect.fnUntraced(function*(options: WriterOptions): Effect.fn.Return<TopicWriter, never, Kafka | Scope.Scope> {
  const kafka = yield* Kafka
  const producers = yield* DisposableProducer(options.clientId)
  const { lease } = options
  if (lease !== undefined) yield* Effect.forkScoped(Effect.andThen(Effect.exit(lease.lost), producers.discard))

  const send = (records: ReadonlyArray<OutgoingRecord>) =>
    Effect.suspend(() => lease?.isHeld() === false ? Effect.never : producers.current).pipe(
      Effect.flatMap((producer) =>
        Effect.tryPromise({
          try: () => producer.send({ messages: records.map(toMessage) }),
          catch: (cause) => fromCause("Publishing to Kafka", cause)
        }))
    )

  /** What of `records` is not there yet, once Kafka can say so. */
  const missingOf = (records: ReadonlyArray<OutgoingRecord>) =>
    Tails.read([...new Set(records.map(({ topic }) => topic))]).pipe(
      Effect.map((tails) => records.filter((record) => !tails.holds(record))),
      Effect.provideService(Kafka, kafka)
    )

  const sendUntilThere = Effect.fnUntraced(function*(records: ReadonlyArray<OutgoingRecord>) {
    let missing = records
    let outcomeKnown = true
    let reports = 0
    const report = (error: KafkaError) => Effect.suspend(() => options.onRetry?.(error, ++reports) ?? Effect.void)
    for (let delay = firstDelayMillis;; delay = Math.min(delay * 2, maxDelayMillis)) {
      const attempt = Effect.gen(function*() {
        if (!outcomeKnown) missing = yield* missingOf(missing)
        outcomeKnown = true
        if (missing.length > 0) yield* send(missing)
      })
      const error = yield* Effect.flip(Effect.raceFirst(attempt, reportUnanswered(report))).pipe(Effect.catch(() => Effect.undefined))
      if (error === undefined) {
        if (reports > 0 && options.onRecovery !== undefined) yield* options.onRecovery
        return
      }
      yield* producers.discard
      outcomeKnown = false
      if (!error.isRetryable) return yield* error.reason === "tooLarge" ? explainSize(missing, options.batchBytes) : error
      yield* report(error)
      yield* Effect.sleep(Duration.millis(delay))
    }
  })

  /** Never ends: to be raced with a send. The producer repeats silently, so that only the time tells that Kafka is away. */
  const unansweredMillis = options.unansweredMillis ?? defaultUnansweredMillis
  const reportUnanswered = (report: (error: KafkaError) => Effect.Effect<void>) =>
    Effect.sleep(Duration.millis(unansweredMillis)).pipe(
      Effect.andThen(report(new KafkaError({
        reason: "unreachable",
        message: `Publishing to Kafka: no acknowledgement for ${unansweredMillis / 1_000} s; is Kafka up?`
      }))),
      Effect.andThen(Effect.never)
    )

  return {
    write: Effect.fnUntraced(function*(records) {
      for (const part of SendPlan.cut(records, options.batchBytes)) yield* sendUntilThere(part)
    })
  }
})

/** Kafka does not say which record it was: the largest one. */
const explainSize = (records: ReadonlyArray<OutgoingRecord>, batchBytes: number): KafkaError => {
  const largest = records.reduce((largest, record) => SendPlan.bytesOf(record) > SendPlan.bytesOf(largest) ? record : largest)
  const bytes = SendPlan.bytesOf(largest)
  return new KafkaError({
    reason: "tooLarge",
    message: bytes > batchBytes
      ? `A record of about ${bytes} bytes is larger than topic ${largest.topic} takes: raise that topic's max.message.bytes above it ` +
        "(kafka-configs.sh --alter --entity-type topics); nothing is lost meanwhile"
      : `A batch of about ${batchBytes} bytes is larger than topic ${largest.topic} takes: raise that topic's max.message.bytes, or lower publish.batchBytes`
  })
}

/** A producer made at first use, and made anew after `discard`. */
const DisposableProducer = Effect.fnUntraced(function*(clientId: string) {
  const kafka = yield* Kafka
  const parent = yield* Effect.scope
  let producer: Producer<Buffer, Buffer, string, string> | undefined
  let scope: Scope.Closeable | undefined

  const current = Effect.suspend(() => {
    if (producer !== undefined) return Effect.succeed(producer)
    return Effect.gen(function*() {
      scope = yield* Scope.fork(parent)
      return producer = yield* kafka.producer(clientId).pipe(Effect.provideService(Scope.Scope, scope))
    })
  })

  const discard = Effect.suspend(() => {
    const old = scope
    producer = scope = undefined
    return old === undefined ? Effect.void : Scope.close(old, Exit.void)
  })

  return { current, discard }
})

type Message = Parameters<Producer<Buffer, Buffer, string, string>["send"]>[0]["messages"][number]

/** The client's types leave out null, which its protocol has: a record without a key, a tombstone. */
const toMessage = (record: OutgoingRecord): Message =>
  (record.headers === undefined ? record : { ...record, headers: new Map(record.headers) }) as unknown as Message
