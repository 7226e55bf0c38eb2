import type { ClusterMetadata, Consumer } from "@platformatic/kafka"
import { Effect, type Scope } from "effect"
import { setTimeout } from "node:timers/promises"
import { Kafka } from "../connections/Kafka.ts"
import { fromCause, type KafkaError } from "../connections/KafkaError.ts"
import type { OutgoingRecord } from "../domain/OutgoingRecord.ts"
import * as Position from "../domain/Position.ts"
import * as RecordPosition from "./RecordPosition.ts"
import type { Tail } from "./RecordPosition.ts"

/** Where every partition of some topics ends. */
export class Tails {
  readonly #byTopic: ReadonlyMap<string, ReadonlyArray<Tail | undefined>>

  /** By topic, then by partition; undefined: the partition holds nothing of ours. */
  constructor(byTopic: ReadonlyMap<string, ReadonlyArray<Tail | undefined>>) {
    this.#byTopic = byTopic
  }

  /** Is the record already there? A delete and its tombstone have one position: after the one the other may be missing. */
  holds(record: OutgoingRecord): boolean {
    const tail = this.#byTopic.get(record.topic)?.[record.partition]
    if (tail === undefined) return false
    const order = Position.compare(record.position, tail.position)
    return order < 0 || (order === 0 && !(tail.endsInDelete && record.value === null))
  }

  /** Whether a topic holds a record of ours: the markers of a fence are none. */
  has(topic: string): boolean {
    return this.#byTopic.get(topic)?.some((tail) => tail !== undefined) ?? false
  }

  /** The furthest position in any partition. */
  get last(): Position.Position | undefined {
    let last: Position.Position | undefined
    for (const tails of this.#byTopic.values()) {
      for (const tail of tails) {
        if (tail !== undefined && (last === undefined || Position.isAfter(tail.position, last))) last = tail.position
      }
    }
    return last
  }
}

/** Reads each partition back from its end to the last record that has a position, over markers of transactions and foreign records. */
export const read = (topics: ReadonlyArray<string>): Effect.Effect<Tails, KafkaError, Kafka> =>
  Effect.scoped(Effect.gen(function*() {
    const kafka = yield* Kafka
    const reader = yield* kafka.reader("cdc-tails")
    return yield* Effect.tryPromise({
      try: () => readAll(reader, [...topics]),
      catch: (cause) => fromCause("Reading the ends of the topics", cause)
    })
  }) as Effect.Effect<Tails, KafkaError, Kafka | Scope.Scope>)

type Reader = Consumer<Buffer, Buffer, Buffer, Buffer>
type Answer = Awaited<ReturnType<Reader["fetch"]>>["responses"][number]["partitions"][number]

/** A larger batch is left out of an answer until its partition is the first of a request: brokers then give it whole. */
const partitionMaxBytes = 4_194_304
const fetchMaxBytes = 33_554_432
const readUncommitted = 0

/** How a partition is read back: forward through a window, then through a wider one before it, until a position is found. */
interface Walk {
  readonly topic: string
  readonly partition: number
  readonly start: bigint
  windowStart: bigint
  windowEnd: bigint
  cursor: bigint
  found: Tail | undefined
}

const readAll = async (reader: Reader, topics: Array<string>): Promise<Tails> => {
  if (topics.length === 0) return new Tails(new Map())
  const metadata = await reader.metadata({ topics, forceUpdate: true })
  const [starts, ends] = await Promise.all([
    reader.listOffsets({ topics, timestamp: earliest, isolationLevel: readUncommitted }),
    reader.listOffsets({ topics, timestamp: latest, isolationLevel: readUncommitted })
  ])
  const walks = topics.flatMap((topic) =>
    ends.get(topic)!.map((end, partition): Walk => {
      const windowStart = end - 1n
      return { topic, partition, start: starts.get(topic)![partition]!, windowStart, windowEnd: end, cursor: windowStart, found: undefined }
    })
  )
  for (let open = walks.filter(isOpen); open.length > 0; open = open.filter(isOpen)) await step(reader, metadata, open)
  return new Tails(Map.groupBy(walks, ({ topic }) => topic).entries().reduce(
    (byTopic, [topic, walks]) => byTopic.set(topic, walks.map(({ found }) => found)),
    new Map<string, Array<Tail | undefined>>()
  ))
}

const earliest = -2n
const latest = -1n

const isOpen = (walk: Walk): boolean =>
  walk.windowEnd > walk.start && !(walk.found !== undefined && walk.cursor >= walk.windowEnd)

/** One fetch from every leader. */
const step = async (reader: Reader, metadata: ClusterMetadata, walks: ReadonlyArray<Walk>): Promise<void> => {
  const byLeader = Map.groupBy(walks, ({ partition, topic }) => metadata.topics.get(topic)!.partitions[partition]!.leader)
  await Promise.all([...byLeader].map(([leader, walks]) => fetchFrom(reader, metadata, leader, walks)))
}

const fetchFrom = async (reader: Reader, metadata: ClusterMetadata, leader: number, walks: ReadonlyArray<Walk>) => {
  const byTopic = Map.groupBy(walks, ({ topic }) => metadata.topics.get(topic)!.id)
  const { responses, throttleTimeMs } = await reader.fetch({
    node: leader,
    minBytes: 1,
    maxBytes: fetchMaxBytes,
    maxWaitTime: 50,
    isolationLevel: readUncommitted,
    topics: [...byTopic].map(([topicId, walks]) => ({
      topicId,
      partitions: walks.map(({ cursor, partition }) => ({
        partition, fetchOffset: cursor, currentLeaderEpoch: -1, lastFetchedEpoch: -1, partitionMaxBytes
      }))
    }))
  })
  const answers = new Map(responses.flatMap(({ partitions, topicId }) =>
    partitions.filter(({ records }) => (records?.length ?? 0) > 0).map((answer) => [`${topicId} ${answer.partitionIndex}`, answer] as const)
  ))
  // A client over its quota gets an empty answer, which says nothing of the partitions (KIP-219).
  if (answers.size === 0 && throttleTimeMs > 0) return await setTimeout(throttleTimeMs)
  for (const walk of walks) {
    const answer = answers.get(`${metadata.topics.get(walk.topic)!.id} ${walk.partition}`)
    // No records: either there are none (compacted away), or the answer was full of other partitions' and this one's turn comes.
    if (answer !== undefined) advance(walk, answer)
    else if (answers.size === 0) walk.cursor = walk.windowEnd
    if (walk.found === undefined && walk.cursor >= walk.windowEnd) widen(walk)
  }
}

const advance = (walk: Walk, { records }: Answer): void => {
  for (const batch of records!) {
    const end = batch.firstOffset + BigInt(batch.lastOffsetDelta) + 1n
    if (end > walk.cursor) walk.cursor = end
    const isControl = (batch.attributes & controlBit) !== 0
    for (let index = batch.records.length - 1; index >= 0 && !isControl; index--) {
      const tail = RecordPosition.read(batch.records[index]!.value, batch.records[index]!.headers)
      if (tail === undefined) continue
      walk.found = tail
      break
    }
  }
}

const controlBit = 0x20

/** Each window is four times the last: a long stretch of foreign records costs few rounds. */
const widen = (walk: Walk): void => {
  const width = (walk.windowEnd - walk.windowStart) * 4n
  walk.windowEnd = walk.windowStart
  walk.windowStart = walk.windowStart - width > walk.start ? walk.windowStart - width : walk.start
  walk.cursor = walk.windowStart
}
