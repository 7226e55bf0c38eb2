import { Clock, Duration, Effect, Exit, Scope } from "effect"
import { Kafka } from "../connections/Kafka.ts"
import { KafkaError } from "../connections/KafkaError.ts"
import type { OutgoingRecord } from "../domain/OutgoingRecord.ts"
import * as Fence from "./Fence.ts"
import * as FencedProducer from "./FencedProducer.ts"
import type { Compression } from "./RecordBatch.ts"
import * as SendPlan from "./SendPlan.ts"
import * as Tails from "./Tails.ts"
import type { Acknowledgement } from "./TopicIdentities.ts"

/**
 * Writes records to Kafka, in order, one send outstanding, as the only one who does.
 *
 * Guarantee: when `write` succeeds, every replica in sync has each of its records, once and in order, whatever an earlier or frozen
 * writer still has on its way: that is refused. No send is repeated as it is. After one whose outcome is unknown the fence is raised
 * again, so that it arrives now or never, the ends of the partitions are read, and what is missing there is sent. As long as Kafka is
 * unreachable it goes on trying; it fails with what can't pass, and with `fenced` once another writer has taken over.
 */
export interface TopicWriter {
  readonly write: (records: ReadonlyArray<OutgoingRecord>) => Effect.Effect<void, KafkaError>
}

export interface WriterOptions {
  readonly clientId: string
  /** Of those who open a writer under one name the last one writes. It is the `transactional.id`, for which the user needs rights. */
  readonly fence: string
  /** In these no earlier writer's record can come any more. Others may be written too, without that guarantee. */
  readonly topics: ReadonlyArray<string>
  readonly batchBytes: number
  readonly compression: Compression
  /** Told of each failed attempt that will be repeated, and of a send that stays unanswered; `attempt` counts from 1 for each request. */
  readonly onRetry?: (error: KafkaError, attempt: number) => Effect.Effect<void>
  /** Told when a request that was retried has arrived. */
  readonly onRecovery?: Effect.Effect<void>
  /** Told where each acknowledged batch was written. */
  readonly onAcknowledged?: (batches: ReadonlyArray<Acknowledgement>) => void
  /** How long a send may stay unanswered until `onRetry` hears of it. */
  readonly unansweredMillis?: number
}

/** Far above any acknowledgement, below what an operator waits for. */
const defaultUnansweredMillis = 3_000

/** Back-off of repeated sends: the time until a returned broker is used again, against noise while it is away. */
const firstDelayMillis = 100
const maxDelayMillis = 1_000

/** When it succeeds, all that earlier writers have written is there, and the ends of the topics can be read. */
export const make = Effect.fnUntraced(function*(options: WriterOptions): Effect.fn.Return<TopicWriter, KafkaError, Kafka | Scope.Scope> {
  const kafka = yield* Kafka
  const producers = yield* fencedProducers(options)
  yield* producers.open

  /** What of `records` is not there yet, once Kafka can say so. */
  const missingOf = (records: ReadonlyArray<OutgoingRecord>) =>
    Tails.read([...new Set(records.map(({ topic }) => topic))]).pipe(
      Effect.map((tails) => records.filter((record) => !tails.holds(record))),
      Effect.provideService(Kafka, kafka)
    )

  const sendUntilThere = Effect.fnUntraced(function*(records: ReadonlyArray<OutgoingRecord>) {
    let missing = records
    let reports = 0
    const report = (error: KafkaError) => Effect.suspend(() => options.onRetry?.(error, ++reports) ?? Effect.void)
    const attempt = Effect.gen(function*() {
      let producer = yield* producers.current
      if (producer === undefined) {
        producer = yield* producers.open
        missing = yield* missingOf(missing)
      }
      if (missing.length === 0) return
      const acknowledgements = yield* producer.send(missing)
      options.onAcknowledged?.(acknowledgements)
    })
    for (let delay = firstDelayMillis;; delay = Math.min(delay * 2, maxDelayMillis)) {
      const error = yield* Effect.flip(Effect.raceFirst(attempt, reportUnanswered(report))).pipe(Effect.catch(() => Effect.undefined))
      if (error === undefined) {
        if (reports > 0 && options.onRecovery !== undefined) yield* options.onRecovery
        return
      }
      yield* producers.discard
      if (error.reason === "tooLarge") return yield* explainSize(missing, options.batchBytes)
      if (error.reason === "fenced" || !error.isRetryable) return yield* error
      yield* report(error)
      yield* Effect.sleep(Duration.millis(delay))
    }
  })

  /** Never ends: to be raced with a send. A broker that is frozen says nothing, so that only the time tells. */
  const unansweredMillis = options.unansweredMillis ?? defaultUnansweredMillis
  const reportUnanswered = (report: (error: KafkaError) => Effect.Effect<void>) =>
    Effect.sleep(Duration.millis(unansweredMillis)).pipe(
      Effect.andThen(Effect.suspend(() => report(unanswered(unansweredMillis)))), // an error's stack costs more than the rest of a small send
      Effect.andThen(Effect.never)
    )

  return {
    write: Effect.fnUntraced(function*(records) {
      for (const part of SendPlan.cut(records, options.batchBytes)) yield* sendUntilThere(part)
    })
  }
})

const unanswered = (millis: number): KafkaError =>
  new KafkaError({ reason: "unreachable", message: `Publishing to Kafka: no acknowledgement for ${millis / 1_000} s; is Kafka up?` })

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

/**
 * After a day without a write a partition forgets an epoch (`producer.id.expiration.ms`), and with it whom to refuse; the coordinator
 * forgets the fence after a week (`transactional.id.expiration.ms`). So nobody writes behind a fence that is as old: whoever has been
 * frozen for longer raises it first, by which he learns whether he is still the one, and whoever has not is refused.
 */
const fenceHoldsMillis = 6 * 3_600_000

/** One producer at a time, behind a fence raised for it. */
const fencedProducers = Effect.fnUntraced(function*({ clientId, compression, fence: name, topics }: WriterOptions) {
  const kafka = yield* Kafka
  const parent = yield* Effect.scope
  const fence = Fence.make(name, topics)
  let producer: FencedProducer.FencedProducer | undefined
  let raisedAt = 0
  let scope: Scope.Closeable | undefined

  const discard = Effect.suspend(() => {
    const old = scope
    producer = scope = undefined
    return old === undefined ? Effect.void : Scope.close(old, Exit.void)
  })

  const open = Effect.gen(function*() {
    yield* discard
    scope = yield* Scope.fork(parent)
    const client = yield* Scope.provide(kafka.requests(clientId), scope)
    raisedAt = yield* Clock.currentTimeMillis
    return producer = FencedProducer.make(client, yield* fence.raise(client), compression)
  })

  /** undefined: none, or behind a fence that is too old; by the wall clock, which also counts a suspended machine's sleep. */
  const current = Effect.map(Clock.currentTimeMillis, (now) => now - raisedAt < fenceHoldsMillis ? producer : undefined)

  return { current, open, discard }
})
