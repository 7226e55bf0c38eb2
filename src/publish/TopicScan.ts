import type { ClusterMetadata, Consumer } from "@platformatic/kafka"
import { Effect, Schedule, type Scope } from "effect"
import { Kafka } from "../connections/Kafka.ts"
import { fromCause, KafkaError } from "../connections/KafkaError.ts"

/** What a record makes of its key. `other`: none of ours, or without a key. */
export type Fate = "row" | "gone" | "truncate" | "other"

export interface ScannedRecord {
  readonly partition: number
  readonly offset: bigint
  readonly key: Buffer
  readonly fate: Exclude<Fate, "other">
}

/** A record as it is found, and where. */
export interface FoundRecord {
  readonly partition: number
  readonly offset: bigint
  /** When its producer made it. */
  readonly millis: number
  readonly key: Buffer
  readonly value: Buffer | null
  readonly headers: ReadonlyArray<readonly [Buffer | null, Buffer | null]>
}

/**
 * A reading of one topic from its beginning, on and on: what a function makes of each record, in the order of its partition, in bounded
 * memory. It reads what is acknowledged; what is compacted away it does not see, nor what has no key.
 */
export interface TopicScan<A = ScannedRecord> {
  /** How many records there are to read, about. */
  readonly behind: Effect.Effect<bigint, KafkaError>
  /** Up to the present ends, which it asks for once; `see` has each stretch before the next is fetched. */
  readonly toEnd: <E>(see: (records: ReadonlyArray<A>) => Effect.Effect<void, E>) => Effect.Effect<void, E | KafkaError>
}

type Reader = Consumer<Buffer, Buffer, Buffer, Buffer>

/** Of one fetch: some tens of thousands of records, and a stretch that is processed in a fraction of a second. */
const partitionMaxBytes = 2_097_152
const fetchMaxBytes = 8_388_608
const readUncommitted = 0
const earliest = -2n
const latest = -1n
const controlBit = 0x20

/** `read`: undefined leaves a record out. */
export const openWith = Effect.fnUntraced(function*<A>(
  topic: string,
  read: (record: FoundRecord) => A | undefined
): Effect.fn.Return<TopicScan<A>, KafkaError, Kafka | Scope.Scope> {
  const kafka = yield* Kafka
  const reader = yield* kafka.reader("cdc-scan")
  const attempt = <A>(ask: () => Promise<A>): Effect.Effect<A, KafkaError> =>
    Effect.tryPromise({ try: ask, catch: (cause) => cause instanceof KafkaError ? cause : fromCause(`Reading topic ${topic}`, cause) })
  const offsets = (timestamp: bigint) =>
    attempt(async () => (await reader.listOffsets({ topics: [topic], timestamp, isolationLevel: readUncommitted })).get(topic)!)
  const next = [...yield* offsets(earliest)]
  const ends = offsets(latest)

  return {
    behind: Effect.map(ends, (ends) => ends.reduce((sum, end, partition) => sum + (end > next[partition]! ? end - next[partition]! : 0n), 0n)),
    toEnd: (see) =>
      Effect.gen(function*() {
        const end = yield* ends
        const isBehind = (partition: number) => next[partition]! < end[partition]!
        for (let behind = [...end.keys()].filter(isBehind); behind.length > 0; behind = behind.filter(isBehind)) {
          const { next: reached, records } = yield* attempt(() => fetch(reader, topic, next, behind, read)).pipe(Effect.retry(patience))
          yield* see(records)
          for (const [partition, offset] of reached) next[partition] = offset
        }
      })
  }
})

/** What each record of a table's topic makes of its key. */
export const open = (topic: string): Effect.Effect<TopicScan, KafkaError, Kafka | Scope.Scope> =>
  openWith(topic, ({ key, offset, partition, value }) => {
    const fate = fateOf(value)
    return fate === "other" ? undefined : { partition, offset, key, fate }
  })

/** For a leader that moves: seconds. Nothing that was not read is passed over. */
const patience = { while: (error: KafkaError) => error.isRetryable, schedule: Schedule.spaced("200 millis"), times: 25 }

interface Stretch<A> {
  readonly records: ReadonlyArray<A>
  /** By partition: where it goes on. */
  readonly next: ReadonlyMap<number, bigint>
}

const fetch = async <A>(
  reader: Reader,
  topic: string,
  next: ReadonlyArray<bigint>,
  partitions: ReadonlyArray<number>,
  read: (record: FoundRecord) => A | undefined
): Promise<Stretch<A>> => {
  const metadata: ClusterMetadata = await reader.metadata({ topics: [topic], metadataMaxAge: 5_000 })
  const { id: topicId, partitions: leaders } = metadata.topics.get(topic)!
  const byLeader = Map.groupBy(partitions, (partition) => leaders[partition]!.leader)
  const answers = await Promise.all([...byLeader].map(([node, partitions]) =>
    reader.fetch({
      node,
      minBytes: 1,
      maxBytes: fetchMaxBytes,
      maxWaitTime: 50,
      isolationLevel: readUncommitted,
      topics: [{
        topicId,
        partitions: partitions.map((partition) => ({
          partition, fetchOffset: next[partition]!, currentLeaderEpoch: -1, lastFetchedEpoch: -1, partitionMaxBytes
        }))
      }]
    })))
  const records: Array<A> = []
  const reached = new Map<number, bigint>()
  for (const { partitionIndex: partition, records: batches } of answers.flatMap(({ responses }) => responses.flatMap(({ partitions }) => partitions))) {
    for (const batch of batches ?? []) {
      reached.set(partition, batch.firstOffset + BigInt(batch.lastOffsetDelta) + 1n)
      if ((batch.attributes & controlBit) !== 0) continue
      for (const { headers, key, offsetDelta, timestampDelta, value } of batch.records) {
        const offset = batch.firstOffset + BigInt(offsetDelta)
        if (offset < next[partition]! || key === null) continue // a batch is given whole
        const found = read({ partition, offset, millis: Number(batch.firstTimestamp + timestampDelta), key, value, headers })
        if (found !== undefined) records.push(found)
      }
    }
  }
  if (reached.size === 0) throw new KafkaError({ reason: "unreachable", message: `Reading topic ${topic}: the broker gave nothing of what it has` })
  return { records, next: reached }
}

/**
 * Our envelopes end in their operation and three clocks, so that the row before them need not be parsed; no text inside of a row can look
 * so, because its quotes are escaped. Anything else is parsed: other connectors write the same fields in other orders.
 */
export const fateOf = (value: Buffer | null): Fate => {
  if (value === null) return "gone"
  const [, op] = envelopeEnd.exec(value.toString("latin1", Math.max(0, value.length - envelopeEndMaxBytes))) ?? []
  return fates[op ?? parsedOperation(value) ?? ""] ?? "other"
}

const envelopeEnd = /"op":"([a-z])","ts_ms":-?\d+,"ts_us":-?\d+,"ts_ns":-?\d+\}$/
const envelopeEndMaxBytes = 128
const fates: Readonly<Record<string, Fate>> = { c: "row", u: "row", r: "row", d: "gone", t: "truncate" }

const parsedOperation = (value: Buffer): string | undefined => {
  try {
    const envelope = JSON.parse(value.toString()) as { readonly op?: unknown } | null
    return typeof envelope?.op === "string" ? envelope.op : undefined
  } catch {
    return undefined
  }
}
