import type { ClusterMetadata, Consumer } from "@platformatic/kafka"
import { Effect, Schedule, type Scope } from "effect"
import { setTimeout } from "node:timers/promises"
import { Kafka } from "./Kafka.ts"
import { fromCause, KafkaError } from "./KafkaError.ts"

/** Fetches at given offsets; joins no group. */
export type Reader = Pick<Consumer<Buffer, Buffer, Buffer, Buffer>, "fetch" | "listOffsets" | "metadata">

/** A record as it lies in its partition. */
export interface LogRecord {
  readonly partition: number
  readonly offset: bigint
  /** When its producer made it, ms since 1970. */
  readonly millis: number
  readonly key: Buffer | null
  readonly value: Buffer | null
  readonly headers: ReadonlyArray<readonly [Buffer | null, Buffer | null]>
}

/** What is to be read of a partition: from `offset` on, up to `end`, which it is known to have reached. */
export interface Wanted {
  readonly topic: string
  readonly partition: number
  readonly offset: bigint
  readonly end: bigint
}

/** A part of it, maybe without records: markers of transactions, or what is compacted away. */
export interface Stretch {
  readonly of: Wanted
  /** From the offset that was asked for; the last batch may reach beyond the end. */
  readonly records: ReadonlyArray<LogRecord>
  /** Where it goes on. */
  readonly next: bigint
}

/** Of one answer: some tens of thousands of records, and a stretch that is processed in a fraction of a second. */
const fetchMaxBytes = 8_388_608
/** A larger batch is left out of an answer until its partition is the first of a request: brokers then give it whole. */
const partitionMaxBytes = 2_097_152
const maxWaitMillis = 50
/** What capture writes is in no transaction; markers are passed over, and no reader waits for somebody else's. */
const readUncommitted = 0
const controlBit = 0x20
/** After which a leader that has moved is looked for. */
const metadataMaxAgeMillis = 5_000

/** By topic, the first offset of each partition, or the one behind its last acknowledged record. */
export const offsets = (reader: Reader, topics: ReadonlyArray<string>, which: "earliest" | "latest"): Promise<ReadonlyMap<string, ReadonlyArray<bigint>>> =>
  topics.length === 0
    ? Promise.resolve(new Map())
    : reader.listOffsets({ topics: [...topics], timestamp: which === "earliest" ? -2n : -1n, isolationLevel: readUncommitted })

/**
 * One request to the leader of each partition: at least one stretch, none of a partition whose turn has not come because the answer was
 * full. Rejects with what the client does, or a `KafkaError` that may pass if no leader gives anything of what it should have.
 */
export const fetch = async (reader: Reader, wanted: ReadonlyArray<Wanted>): Promise<ReadonlyArray<Stretch>> => {
  const metadata = await reader.metadata({ topics: [...new Set(wanted.map(({ topic }) => topic))], metadataMaxAge: metadataMaxAgeMillis })
  const byLeader = Map.groupBy(wanted, ({ partition, topic }) => metadata.topics.get(topic)!.partitions[partition]!.leader)
  const stretches = (await Promise.all([...byLeader].map(([leader, wanted]) => fetchFrom(reader, metadata, leader, wanted)))).flat()
  if (stretches.length > 0) return stretches
  throw new KafkaError({ reason: "unreachable", message: `Reading topic ${wanted[0]!.topic}: the broker gave nothing of what it has` })
}

const fetchFrom = async (reader: Reader, metadata: ClusterMetadata, leader: number, wanted: ReadonlyArray<Wanted>): Promise<ReadonlyArray<Stretch>> => {
  const idOf = (topic: string) => metadata.topics.get(topic)!.id
  for (let empty = 0; empty < emptyAnswers;) {
    const { responses, throttleTimeMs } = await reader.fetch({
      node: leader, minBytes: 1, maxBytes: fetchMaxBytes, maxWaitTime: maxWaitMillis, isolationLevel: readUncommitted,
      topics: [...Map.groupBy(wanted, ({ topic }) => idOf(topic))].map(([topicId, wanted]) => ({
        topicId,
        partitions: wanted.map(({ offset, partition }) => ({
          partition, fetchOffset: offset, currentLeaderEpoch: -1, lastFetchedEpoch: -1, partitionMaxBytes
        }))
      }))
    })
    const answers = new Map(responses.flatMap(({ partitions, topicId }) => partitions.map((answer) => [`${topicId} ${answer.partitionIndex}`, answer])))
    const answerOf = ({ partition, topic }: Wanted) => answers.get(`${idOf(topic)} ${partition}`)
    const given = wanted.flatMap((of) => stretchOf(of, answerOf(of)?.records ?? []))
    if (given.length > 0) return given
    // Over its quota a client gets an empty answer, which says nothing of the partitions (KIP-219).
    if (throttleTimeMs > 0) await setTimeout(throttleTimeMs)
    else if (wanted.every((of) => (answerOf(of)?.highWatermark ?? of.end) >= of.end)) empty++ // an answer may leave out what has not changed
    else return []
  }
  return wanted.map((of) => ({ of, records: [], next: of.end }))
}

/**
 * So often must a leader that has reached the end say that there is nothing up to it until that is believed: what is compacted away is
 * gone, but one that reads from afar (tiered storage) may answer before it has anything.
 */
const emptyAnswers = 3

type Batches = NonNullable<Awaited<ReturnType<Reader["fetch"]>>["responses"][number]["partitions"][number]["records"]>

/** None, if there are no batches. */
const stretchOf = (of: Wanted, batches: Batches): ReadonlyArray<Stretch> => {
  const records: Array<LogRecord> = []
  let next = of.offset
  for (const batch of batches) {
    const behind = batch.firstOffset + BigInt(batch.lastOffsetDelta) + 1n
    if (behind > next) next = behind
    if ((batch.attributes & controlBit) !== 0) continue
    for (const { headers, key, offsetDelta, timestampDelta, value } of batch.records) {
      const offset = batch.firstOffset + BigInt(offsetDelta)
      // A batch is given whole.
      if (offset >= of.offset) records.push({ partition: of.partition, offset, millis: Number(batch.firstTimestamp + timestampDelta), key, value, headers })
    }
  }
  return next > of.offset ? [{ of, records, next }] : []
}

/**
 * A reading of one topic from its beginning, on and on: every record, in the order of its partition, in bounded memory. It reads what is
 * acknowledged, and what is compacted away it does not see.
 */
export interface TopicLog {
  /** How many records there are to read, about. */
  readonly behind: Effect.Effect<bigint, KafkaError>
  /** Up to the present ends, which it asks for once; `see` has each stretch before the next is fetched. */
  readonly toEnd: <E, R>(see: (records: ReadonlyArray<LogRecord>) => Effect.Effect<void, E, R>) => Effect.Effect<void, E | KafkaError, R>
}

/** Of a topic that is there. */
export const open = Effect.fnUntraced(function*(topic: string, clientId: string): Effect.fn.Return<TopicLog, KafkaError, Kafka | Scope.Scope> {
  return yield* read(yield* (yield* Kafka).reader(clientId), topic)
})

/** As `open`, with a reader of one's own. */
export const read = Effect.fnUntraced(function*(reader: Reader, topic: string): Effect.fn.Return<TopicLog, KafkaError> {
  const attempt = <A>(ask: () => Promise<A>) => Effect.tryPromise({ try: ask, catch: failureOf(`Reading topic ${topic}`) })
  const ofTopic = (which: "earliest" | "latest") => attempt(async () => (await offsets(reader, [topic], which)).get(topic)!)
  const next = [...yield* ofTopic("earliest")]
  const ends = ofTopic("latest")
  return {
    behind: Effect.map(ends, (ends) => ends.reduce((sum, end, partition) => sum + (end > next[partition]! ? end - next[partition]! : 0n), 0n)),
    toEnd: Effect.fnUntraced(function*(see) {
      const end = yield* ends
      const wanted = () => end.map((end, partition): Wanted => ({ topic, partition, offset: next[partition]!, end })).filter(({ end, offset }) => offset < end)
      for (let open = wanted(); open.length > 0; open = wanted()) {
        const stretches = yield* Effect.retry(attempt(() => fetch(reader, open)), patience)
        yield* see(stretches.flatMap(({ records }) => records))
        for (const { next: reached, of } of stretches) next[of.partition] = reached
      }
    })
  }
})

/** For a leader that moves: seconds. Nothing that was not read is passed over. */
const patience = { while: (error: KafkaError) => error.isRetryable, schedule: Schedule.spaced("200 millis"), times: 25 }

/** What `fetch` and the client reject with. */
export const failureOf = (doing: string) => (cause: unknown): KafkaError => cause instanceof KafkaError ? cause : fromCause(doing, cause)
