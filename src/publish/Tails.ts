import { Effect } from "effect"
import { Kafka } from "../connections/Kafka.ts"
import type { KafkaError } from "../connections/KafkaError.ts"
import * as TopicLog from "../connections/TopicLog.ts"
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
      try: () => readAll(reader, topics),
      catch: TopicLog.failureOf("Reading the ends of the topics")
    })
  }))

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

const readAll = async (reader: TopicLog.Reader, topics: ReadonlyArray<string>): Promise<Tails> => {
  const [starts, ends] = await Promise.all([TopicLog.offsets(reader, topics, "earliest"), TopicLog.offsets(reader, topics, "latest")])
  const walks = topics.flatMap((topic) =>
    ends.get(topic)!.map((end, partition): Walk => {
      const windowStart = end - 1n
      return { topic, partition, start: starts.get(topic)![partition]!, windowStart, windowEnd: end, cursor: windowStart, found: undefined }
    })
  )
  for (let open = walks.filter(isOpen); open.length > 0; open = open.filter(isOpen)) await step(reader, open)
  return new Tails(Map.groupBy(walks, ({ topic }) => topic).entries().reduce(
    (byTopic, [topic, walks]) => byTopic.set(topic, walks.map(({ found }) => found)),
    new Map<string, Array<Tail | undefined>>()
  ))
}

const isOpen = (walk: Walk): boolean =>
  walk.windowEnd > walk.start && !(walk.found !== undefined && walk.cursor >= walk.windowEnd)

/** One fetch from every leader. */
const step = async (reader: TopicLog.Reader, open: ReadonlyArray<Walk>): Promise<void> => {
  const walks = new Map(open.map((walk): [TopicLog.Wanted, Walk] => [{ ...walk, offset: walk.cursor, end: walk.windowEnd }, walk]))
  for (const { next, of, records } of await TopicLog.fetch(reader, [...walks.keys()])) {
    const walk = walks.get(of)!
    walk.cursor = next
    walk.found = lastPosition(records) ?? walk.found
    if (walk.found === undefined && walk.cursor >= walk.windowEnd) widen(walk)
  }
}

const lastPosition = (records: ReadonlyArray<TopicLog.LogRecord>): Tail | undefined => {
  for (let index = records.length - 1; index >= 0; index--) {
    const tail = RecordPosition.read(records[index]!.value, records[index]!.headers)
    if (tail !== undefined) return tail
  }
  return undefined
}

/** Each window is four times the last: a long stretch of foreign records costs few rounds. */
const widen = (walk: Walk): void => {
  const width = (walk.windowEnd - walk.windowStart) * 4n
  walk.windowEnd = walk.windowStart
  walk.windowStart = walk.windowStart - width > walk.start ? walk.windowStart - width : walk.start
  walk.cursor = walk.windowStart
}
