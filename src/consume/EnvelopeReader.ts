import { Lsn } from "../domain/Lsn.ts"
import type { Position } from "../domain/Position.ts"
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
  const common = { record, position, commitMicros: envelope.source.ts_us }
  if (envelope.op === "t") return { _tag: "Change", change: { ...common, kind: "truncate" } }
  const key = keyOf(record.key)
  if (key === undefined) return unreadable("no-key", "the key is not a JSON object of the key columns")
  if (envelope.op === "d") return { _tag: "Change", change: { ...common, kind: "delete", key } }
  if (!upserts.has(envelope.op)) return unreadable("unknown-op", "op is none of c, u, d, r, t")
  if (typeof envelope.after !== "object" || envelope.after === null) return unreadable("not-an-envelope", "the envelope has no row in after")
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
  if (typeof value !== "object" || value === null) return false
  const { op, source, transaction } = value as Record<string, Record<string, unknown> | null>
  return typeof op === "string" && typeof source === "object" && source !== null
    && typeof transaction === "object" && transaction !== null && typeof transaction.id === "string"
}

const positionOf = ({ source, transaction }: Envelope): Position | undefined => {
  const [, commitLsn] = /^\d+:(\d{1,20})$/.exec(transaction.id) ?? []
  if (commitLsn === undefined || !Number.isInteger(source.epoch) || !Number.isInteger(transaction.total_order)) return undefined
  return { epoch: source.epoch, commitLsn: Lsn(BigInt(commitLsn)), order: transaction.total_order }
}

/** One key column's value as text; several as a JSON array. */
const keyOf = (bytes: Buffer | null): string | undefined => {
  const key = bytes === null ? undefined : parseJson(bytes)
  if (typeof key !== "object" || key === null) return undefined
  const values = Object.values(key)
  if (values.length === 0) return undefined
  return values.length === 1 ? String(values[0]) : JSON.stringify(values)
}
