import * as Headers from "../domain/Headers.ts"
import type { OutgoingRecord } from "../domain/OutgoingRecord.ts"
import * as Position from "../domain/Position.ts"
import type { Relation, RowChange, Tuple } from "../domain/RowChange.ts"
import { formatPath } from "../domain/SqlIdentifier.ts"
import * as TopicName from "../domain/TopicName.ts"
import { bytesOf } from "./SendPlan.ts"

/** Capture's name where it sets something aside, as a pipeline's is there. */
export const connectorName = "capture"

/** The batch around a record, and what its lengths are written in: what a topic's `max.message.bytes` counts besides the record. */
const batchOverheadBytes = 128

/** The largest record (as `bytesOf` sees it) of which a topic takes a batch. */
export const largestIn = (maxMessageBytes: number): number => Math.max(1, maxMessageBytes - batchOverheadBytes)

/** How many bytes of a change's values lie in one column. */
export interface ColumnBytes {
  readonly column: number
  readonly bytes: number
}

/** By how much the largest of `records`, from `start` on, is over `limit`; 0 or less: none is. */
export const excessOf = (records: ReadonlyArray<OutgoingRecord>, start: number, limit: number): number => {
  let largest = 0
  for (let index = start; index < records.length; index++) largest = Math.max(largest, bytesOf(records[index]!))
  return largest - limit
}

export interface Oversized {
  readonly change: RowChange
  /** What the change was encoded to. */
  readonly records: ReadonlyArray<OutgoingRecord>
  /** In bytes, of each record. */
  readonly limit: number
  /** The columns that may be left out, the largest last. */
  readonly columns: ReadonlyArray<ColumnBytes>
  readonly encode: (change: RowChange) => ReadonlyArray<OutgoingRecord>
}

/**
 * The change's records with as many columns left out, the largest first, as makes each of them fit, in old row and new alike; and a
 * letter that says so. What does not fit even so, because its key is too large, is not published: the letter says that.
 */
export const fit = ({ change, columns, encode, limit, records }: Oversized): ReadonlyArray<OutgoingRecord> => {
  const candidates = [...columns]
  const left = new Set<number>()
  let fitted = records
  for (let excess = excessOf(records, 0, limit); excess > 0 && candidates.length > 0; excess = excessOf(fitted, 0, limit)) {
    for (const column of take(candidates, excess)) left.add(column)
    const names = namesOf(change.relation, left)
    fitted = encode(without(change, left)).map((record) => record.value === null ? record : marked(record, names))
  }
  const published = fitted.filter((record) => bytesOf(record) <= limit)
  const bytes = excessOf(records, 0, limit) + limit
  const why = published.length < records.length
    ? { name: "key-too-large", message: `The record has ${bytes} bytes, its topic takes ${limit}, and without its large columns it is still larger: not published` }
    : { name: "record-too-large", message: `The record has ${bytes} bytes, its topic takes ${limit}: published without ${namesOf(change.relation, left)}` }
  return [...published, letterOf(records[0]!, published.length < records.length ? null : records[0]!.key, bytes, why)]
}

/** Takes as many of `candidates` as save `excess`, one at least. */
const take = (candidates: Array<ColumnBytes>, excess: number): ReadonlyArray<number> => {
  const taken: Array<number> = []
  for (let saved = 0; saved < excess && candidates.length > 0;) {
    const { bytes, column } = candidates.pop()!
    taken.push(column)
    saved += bytes
  }
  return taken
}

/** The change as if Postgres had not sent these columns, so that they become the unavailable value wherever they stand. */
const without = (change: RowChange, columns: ReadonlySet<number>): RowChange => {
  const lacking = (tuple: Tuple): Tuple => Array.from({ length: tuple.length }, (_, column) => (columns.has(column) ? undefined : tuple.at(column)))
  switch (change.kind) {
    case "insert":
    case "read":
      return { ...change, after: lacking(change.after) }
    case "update": {
      const { before } = change
      return { ...change, after: lacking(change.after), before: before && { ...before, tuple: lacking(before.tuple) } }
    }
    case "delete":
      return { ...change, before: { ...change.before, tuple: lacking(change.before.tuple) } }
    case "truncate":
      return change
  }
}

const marked = (record: OutgoingRecord, columns: string): OutgoingRecord => ({
  ...record,
  headers: [...record.headers ?? [], [Headers.columnsTooLarge, columns]]
})

/**
 * What is set aside: where the record belongs, its key, and how large it was; no value. It has its change's position, in a header as
 * a tombstone has, so that it is written once as the change is.
 */
const letterOf = (
  { partition, position, topic }: OutgoingRecord,
  key: Buffer | null,
  bytes: number,
  why: { readonly name: string; readonly message: string }
): OutgoingRecord => ({
  topic: TopicName.ofDeadLetters(topic, connectorName),
  partition: 0,
  key,
  value: null,
  headers: [
    [Headers.position, Position.format(position)],
    [Headers.deadLetter.topic, topic],
    [Headers.deadLetter.partition, String(partition)],
    [Headers.deadLetter.connectorName, connectorName],
    [Headers.deadLetter.stage, "KAFKA_PRODUCE"], // as Kafka Connect calls it
    [Headers.deadLetter.exceptionClass, why.name],
    [Headers.deadLetter.exceptionMessage, why.message],
    [Headers.deadLetter.recordBytes, String(bytes)]
  ],
  position
})

/** Is it one of capture's own dead letters? */
export const isLetter = ({ topic, value }: OutgoingRecord): boolean => value === null && topic.endsWith(letterSuffix)
/** Why it was set aside: `record-too-large` or `key-too-large`. */
export const reasonOf = ({ headers }: OutgoingRecord): string =>
  headers?.find(([name]) => name === Headers.deadLetter.exceptionClass)?.[1] ?? "unknown"

const letterSuffix = TopicName.ofDeadLetters("", connectorName)

const namesOf = (relation: Relation, columns: ReadonlySet<number>): string =>
  [...columns].sort((a, b) => a - b).map((column) => formatPath([relation.columns[column]!.name])).join(",")
