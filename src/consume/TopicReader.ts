import { setTimeout } from "node:timers/promises"
import { Cause, Effect, Queue, type Scope } from "effect"
import type { Batch, ConsumerEndBatchProcessEvent, EachBatchPayload, KafkaMessage } from "kafkajs"
import { Kafka } from "../connections/Kafka.ts"
import type { KafkaError } from "../connections/KafkaError.ts"
import type { BadRecord, PartitionBatch, RawRecord, SourceChange } from "../domain/SourceChange.ts"
import { ConsumeError } from "./ConsumeError.ts"
import { keyOf, readRecord } from "./EnvelopeReader.ts"

/** A batch of one partition, and how to say what became of it. Its partition is not read further before. */
export interface Fetched extends PartitionBatch {
  /** Where its partition was read from: the checkpoint as it stood then. */
  readonly fromOffset: bigint
  /** Read on after it. */
  readonly applied: () => void
  /** Ask the checkpoint again, and read from there. */
  readonly reread: () => void
}

export interface ReaderOptions {
  readonly groupId: string
  readonly topics: ReadonlyArray<string>
  readonly maxBytesPerPartition: number
  /** How long the broker may wait for more than a few records, in ms; 0: what there is comes at once. kafkajs sends no heartbeat meanwhile. */
  readonly lingerMillis: number
  /** What a person does about a gap, for messages. */
  readonly remedy: string
  /** The next offset of partitions, by the checkpoint; fails if the topic can't be read on from there. */
  readonly nextOffsets: (partitions: ReadonlyArray<Partition>) => Promise<ReadonlyArray<bigint>>
  /** Moves the checkpoint over offsets that hold no records; false if it does not stand at the first of them. */
  readonly skip: (partition: Partition, fromOffset: bigint, nextOffset: bigint) => Promise<boolean>
}

export interface Partition {
  readonly topic: string
  readonly partition: number
}

/**
 * Reads topics as a member of a consumer group, from where the checkpoint stands: offsets committed to Kafka are written for
 * lag tools and never read. Every batch waits until it is applied: that is the backpressure. A broken consumer ends the queue
 * with `disconnected`.
 */
export const openReader = Effect.fnUntraced(function*(
  options: ReaderOptions
): Effect.fn.Return<Queue.Dequeue<Fetched, ConsumeError>, ConsumeError, Kafka | Scope.Scope> {
  const { client } = yield* Kafka
  const queue = yield* Queue.unbounded<Fetched, ConsumeError>() // holds a batch per partition at the most
  const fail = (cause: unknown) =>
    Queue.failCauseUnsafe(queue, Cause.fail(cause instanceof ConsumeError ? cause : disconnected(options.groupId, cause)))

  const consumer = client.consumer({
    groupId: options.groupId,
    maxBytesPerPartition: options.maxBytesPerPartition,
    ...(options.lingerMillis > 0 ? { minBytes: Math.min(lingerBytes, options.maxBytesPerPartition), maxWaitTimeInMs: options.lingerMillis } : { maxWaitTimeInMs: idleMillis }),
    sessionTimeout: sessionMillis,
    rebalanceTimeout: 2 * sessionMillis,
    heartbeatInterval: heartbeatMillis,
    allowAutoTopicCreation: false,
    metadataMaxAge: metadataMillis,
    retry: { initialRetryTime: 100, maxRetryTime: 1_000, retries: 20, restartOnFailure: async () => false }
  })

  /** Batches whose verdict is still to come. Who fails with one in hand gives none, and the consumer stops only after its batches. */
  const inHand = new Set<(verdict: Verdict) => void>()
  let isClosing = false

  /** Where each assigned partition will be read from. Present once the checkpoint has been asked. */
  const next = new Map<string, bigint>()
  /** Where the consumer was sent last, or has read to. A fetch from there may still come when a skip has moved on. */
  const sought = new Map<string, bigint>()
  let positioned: Promise<void> = Promise.resolve()

  /** Seeks partitions to their checkpoints. What was fetched before is stale then, and dropped. */
  const position = async (partitions: ReadonlyArray<Partition>): Promise<void> => {
    if (partitions.length === 0) return
    const offsets = await options.nextOffsets(partitions)
    partitions.forEach(({ partition, topic }, index) => {
      next.set(`${topic}/${partition}`, offsets[index]!)
      sought.set(`${topic}/${partition}`, offsets[index]!)
      consumer.seek({ topic, partition, offset: String(offsets[index]) })
    })
  }

  /**
   * kafkajs hands over no batch that holds only markers of transactions, as capture's fence leaves them, or what compaction left
   * behind. At the end of a partition they would be counted as lag for ever.
   */
  const skip = async ({ fetchedOffset, lastOffset, partition, topic }: ProcessedBatch): Promise<void> => {
    const fromOffset = next.get(`${topic}/${partition}`)
    const nextOffset = BigInt(lastOffset) + 1n
    if (isClosing || fromOffset === undefined || nextOffset <= fromOffset) return
    // Fetched before the seek, from the offset that Kafka remembers: it may be beyond the checkpoint, and says nothing of what is between.
    // One from before the checkpoint has seen all that is behind it, and won't come again.
    if (BigInt(fetchedOffset) > fromOffset) return
    if (!(await options.skip({ topic, partition }, fromOffset, nextOffset))) return position([{ topic, partition }])
    next.set(`${topic}/${partition}`, nextOffset)
    await consumer.commitOffsets([{ topic, partition, offset: String(nextOffset) }]).catch(() => {})
  }

  /**
   * Whether a fetch went on from where the last one ended. kafkajs answers OFFSET_OUT_OF_RANGE by starting over at the earliest
   * record, and tells nobody; but it also skips what holds no records. The checkpoint's bounds tell which it was.
   */
  const continues = async ({ fetchedOffset, partition, topic }: FetchedBatch, fromOffset: bigint): Promise<boolean> => {
    if (BigInt(fetchedOffset) === fromOffset) return true
    try {
      if (BigInt(fetchedOffset) < fromOffset && BigInt(fetchedOffset) >= sought.get(`${topic}/${partition}`)!) {
        await position([{ topic, partition }])
        return false
      }
      if (BigInt(fetchedOffset) < fromOffset) throw startedOver(topic, partition, fromOffset, fetchedOffset, options.remedy)
      await options.nextOffsets([{ topic, partition }])
      return true
    } catch (cause) {
      fail(cause)
      return false
    }
  }

  consumer.on(consumer.events.GROUP_JOIN, ({ payload }) => {
    const assigned = Object.entries(payload.memberAssignment).flatMap(([topic, partitions]) =>
      partitions.map((partition) => ({ topic, partition }))
    )
    // One after the other: a skip of the former assignment moves the checkpoint that is asked for here.
    positioned = positioned.then(() => {
      next.clear()
      return position(assigned)
    })
    positioned.catch(fail)
  })
  consumer.on(consumer.events.END_BATCH_PROCESS, ({ payload }) => {
    if (payload.batchSize > 0) return
    positioned = positioned.then(() => skip(payload as ProcessedBatch)) // the partition's next batch waits for it
    positioned.catch(fail)
  })
  consumer.on(consumer.events.CRASH, ({ payload }) => fail(payload.error))

  const eachBatch = async ({ batch, heartbeat, isRunning, isStale, resolveOffset }: EachBatchPayload): Promise<void> => {
    await positioned
    const { partition, topic } = batch
    const fromOffset = next.get(`${topic}/${partition}`)
    if (isClosing || !isRunning() || isStale() || fromOffset === undefined) return
    if (!(await continues(batch as FetchedBatch, fromOffset))) return
    const nextOffset = BigInt(batch.lastOffset()) + 1n
    const verdict = await keepAlive<Verdict>(heartbeat, (settle) => {
      inHand.add(settle)
      Queue.offerUnsafe(queue, {
        topic,
        partition,
        fromOffset,
        nextOffset,
        ...readMessages(topic, partition, batch.messages),
        applied: () => settle("applied"),
        reread: () => settle("reread")
      })
      return () => inHand.delete(settle)
    })
    if (verdict === "abandoned") return
    if (verdict === "reread") return position([{ topic, partition }])
    next.set(`${topic}/${partition}`, nextOffset)
    sought.set(`${topic}/${partition}`, nextOffset)
    resolveOffset(String(nextOffset - 1n))
    // A copy for lag tools; lost, it is written again with the next batch.
    await consumer.commitOffsets([{ topic, partition, offset: String(nextOffset) }]).catch(() => {})
  }

  yield* Effect.acquireRelease(
    Effect.tryPromise({
      try: async () => {
        await consumer.connect()
        await consumer.subscribe({ topics: [...options.topics], fromBeginning: true })
        await consumer.run({ autoCommit: false, eachBatchAutoResolve: false, partitionsConsumedConcurrently: 64, eachBatch })
      },
      catch: (cause) => disconnected(options.groupId, cause)
    }),
    () => Effect.promise(async () => {
      isClosing = true
      for (const abandon of inHand) abandon("abandoned")
      // kafkajs waits for all that is under way, also for an answer that nobody sends; the checkpoint does not rest on a leave in good order.
      await Promise.race([consumer.disconnect().catch(() => {}), setTimeout(leaveMillis, undefined, { ref: false })])
    })
  )
  return queue
})

type Verdict = "applied" | "reread" | "abandoned"

/** What kafkajs' types leave out: the offset that was asked for. Its event has it by our patch. */
type FetchedBatch = Batch & { readonly fetchedOffset: string }
type ProcessedBatch = ConsumerEndBatchProcessEvent["payload"] & { readonly fetchedOffset: string }

const startedOver = (topic: string, partition: number, fromOffset: bigint, fetchedOffset: string, remedy: string): ConsumeError =>
  new ConsumeError({
    reason: "gap",
    message: `${topic}/${partition} was to be read on from offset ${fromOffset}, but starts over at ${fetchedOffset}: it was made again; ${remedy}`
  })

/** Every partition of the topics with its first and end offsets; a topic that is not there is named. */
export const readPartitions = Effect.fnUntraced(function*(
  topics: ReadonlyArray<string>
): Effect.fn.Return<ReadonlyArray<Partition & { readonly low: bigint; readonly high: bigint }>, ConsumeError | KafkaError, Kafka> {
  const kafka = yield* Kafka
  const existing = new Set(yield* kafka.admin("Listing topics", (admin) => admin.listTopics()))
  const missing = topics.filter((topic) => !existing.has(topic))
  if (missing.length > 0) {
    return yield* new ConsumeError({ reason: "missingTopic", message: `Topics are missing: ${missing.join(", ")}; run \`cdc setup\` first` })
  }
  const perTopic = yield* Effect.forEach(
    topics,
    (topic) => kafka.admin(`Reading the offsets of ${topic}`, (admin) => admin.fetchTopicOffsets(topic)),
    { concurrency: "unbounded" }
  )
  return topics.flatMap((topic, index) =>
    perTopic[index]!.map(({ high, low, partition }) => ({ topic, partition, low: BigInt(low), high: BigInt(high) }))
  )
})

/**
 * How long a killed instance keeps its partitions, and so how long its successor waits: the least that brokers allow
 * (`group.min.session.timeout.ms`). One that is merely slow loses its partitions and nothing else: the checkpoint decides.
 */
const sessionMillis = 6_000
const heartbeatMillis = 1_500
/** By then the group has missed the member anyway. */
const leaveMillis = sessionMillis

/**
 * Who leads the group gives out the partitions that it knows of, and every member fetches from the leaders that it knows of. What was
 * learned of a broker that is just starting may lack some; they are read when it is learned anew (kafkajs' default: after five minutes).
 */
const metadataMillis = 10_000
/** How long a fetch of topics that have nothing new is held by the broker. */
const idleMillis = 500
/** Some hundred records: worth a transaction, and at a high rate soon there. */
const lingerBytes = 65_536

const disconnected = (groupId: string, cause: unknown): ConsumeError =>
  new ConsumeError({ reason: "disconnected", message: `Consumer of group ${groupId}: ${(cause as Error)?.message ?? String(cause)}` })

/** Waits for a verdict and keeps the group membership meanwhile; what `start` gives is called after it. */
const keepAlive = async <A>(heartbeat: () => Promise<void>, start: (settle: (verdict: A) => void) => () => void): Promise<A> => {
  const beating = setInterval(() => heartbeat().catch(() => {}), heartbeatMillis) // a lost membership shows at the next join
  const settled = Promise.withResolvers<A>()
  const forget = start(settled.resolve)
  const verdict = await settled.promise
  clearInterval(beating)
  forget()
  return verdict
}

const readMessages = (topic: string, partition: number, messages: ReadonlyArray<KafkaMessage>) => {
  const changes: Array<SourceChange> = []
  const unreadable: Array<BadRecord> = []
  for (const message of messages) {
    const record = rawRecord(topic, partition, message)
    const read = readRecord(record)
    if (read._tag === "Change") changes.push(read.change)
    else if (read._tag === "Unreadable") unreadable.push({ record, why: read.why, key: keyOf(record.key) ?? null, isSuspect: true })
  }
  return { changes, unreadable }
}

const rawRecord = (topic: string, partition: number, message: KafkaMessage): RawRecord => ({
  topic,
  partition,
  offset: BigInt(message.offset),
  key: message.key,
  value: message.value,
  headers: Object.entries(message.headers ?? {}).flatMap(([name, value]) =>
    value === undefined ? [] : [[name, Buffer.isBuffer(value) ? value : Buffer.from(String(value))] as const]
  )
})
