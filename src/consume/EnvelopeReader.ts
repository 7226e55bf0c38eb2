import { Lsn } from "../domain/Lsn.ts"
import type { Position } from "../domain/Position.ts"
import * as RowKey from "../domain/RowKey.ts"
import type { BadInput, RawRecord, SourceChange } from "../domain/SourceChange.ts"

/** What one record says: a change, a reason why it can't be read, or nothing (a tombstone: its delete came before it). */
export type ReadRecord =
  | { readonly _tag: "Change"; readonly change: SourceChange }
  | { readonly _tag: "Unreadable"; readonly why: BadInput }
  | { readonly _tag: "Tombstone" }

interface Envelope {
  readonly op: string
  readonly after: Readonly<Record<string, unknown>> | null
  readonly source: { readonly epoch: number; readonly ts_us: number }
  readonly transaction: { readonly id: string; readonly total_order: number }
}

/** Reads a record as a change in Debezium's envelope. Anything may be on a topic: whatever does not fit is named, never thrown. */
export const readRecord = (record: RawRecord): ReadRecord => {
  if (record.value === null) return tombstone
  const envelope = parseJson(record.value)
  if (envelope === undefined) return unreadable("not-json", "the value is not JSON")
  if (!isEnvelope(envelope)) return unreadable("not-an-envelope", "the value is not a change envelope with op, source and transaction")
  const position = positionOf(envelope)
  if (position === undefined) {
    return unreadable("no-position", "the envelope has no position (source.epoch, transaction.id, transaction.total_order)")
  }
  if (!Number.isSafeInteger(envelope.source.ts_us)) return unreadable("not-an-envelope", "source.ts_us is not an instant in microseconds")
  const common = { record, position, commitMicros: envelope.source.ts_us, xid: parseInt(envelope.transaction.id, 10) }
  if (envelope.op === "t") return { _tag: "Change", change: { ...common, kind: "truncate" } }
  const key = keyOf(record.key)
  if (key === undefined) return unreadable("no-key", "the key is not a JSON object of the key columns")
  if (envelope.op === "d") return { _tag: "Change", change: { ...common, kind: "delete", key } }
  if (!upserts.has(envelope.op)) return unreadable("unknown-op", "op is none of c, u, d, r, t")
  if (!isObject(envelope.after)) return unreadable("not-an-envelope", "the envelope has no row in after")
  if (mayHoldHalves(record.value) && Object.values(envelope.after).some(holdsHalf)) return unreadable("half-in-text", "a text holds half of a surrogate pair, which UTF-8 can't")
  if (mayHoldZero(record.value) && Object.values(envelope.after).some(holdsZero)) return unreadable("zero-in-text", "a text holds U+0000, which Postgres can't store")
  const isRead = envelope.op === "r"
  return {
    _tag: "Change",
    change: { ...common, kind: "upsert", key, row: envelope.after, isRead, isNew: isRead || envelope.op === "c" }
  }
}

const upserts = new Set(["c", "u", "r"])
const tombstone: ReadRecord = { _tag: "Tombstone" }

const unreadable = (reason: string, message: string): ReadRecord => ({ _tag: "Unreadable", why: { reason, message } })

const parseJson = (bytes: Buffer): unknown => {
  try {
    return JSON.parse(bytes.toString("utf8"))
  } catch {
    return undefined
  }
}

const isEnvelope = (value: unknown): value is Envelope => {
  if (!isObject(value)) return false
  const { op, source, transaction } = value
  return typeof op === "string" && isObject(source) && isObject(transaction) && typeof transaction.id === "string"
}

const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === "object" && value !== null && !Array.isArray(value)

/** Few values hold the escapes, so few are looked through. What Postgres would store as another text would not be found again by it. */
const mayHoldHalves = (json: Buffer): boolean => json.includes("\\ud") || json.includes("\\uD")
const holdsHalf = (value: unknown): boolean => typeof value === "string" && !value.isWellFormed()
const mayHoldZero = (json: Buffer): boolean => json.includes("\\u0000")
const holdsZero = (value: unknown): boolean => typeof value === "string" && value.includes("\0")

const positionOf = ({ source, transaction }: Envelope): Position | undefined => {
  const [, commitLsn] = /^\d{1,10}:(\d{1,20})$/.exec(transaction.id) ?? []
  if (commitLsn === undefined || BigInt(commitLsn) > maxBigint) return undefined
  if (!isCount(source.epoch, maxInteger) || !isCount(transaction.total_order, Number.MAX_SAFE_INTEGER)) return undefined
  return { epoch: source.epoch, commitLsn: Lsn(BigInt(commitLsn)), order: transaction.total_order }
}

/** What the columns of `offsets` hold: a position beyond would fail its batch for ever. */
const maxInteger = 2 ** 31 - 1
const maxBigint = 2n ** 63n - 1n
const isCount = (value: unknown, max: number): value is number => Number.isInteger(value) && (value as number) >= 0 && (value as number) <= max

/** As `RowKey.of`. */
export const keyOf = (bytes: Buffer | null): string | undefined => {
  const key = bytes === null ? undefined : parseJson(bytes)
  if (!isObject(key)) return undefined
  const values = Object.values(key)
  if (values.length === 0 || values.some((value) => value === null || typeof value === "object" || holdsZero(value) || holdsHalf(value))) return undefined
  return RowKey.of(values)
}
