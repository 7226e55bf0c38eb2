import * as Headers from "../domain/Headers.ts"
import { Lsn } from "../domain/Lsn.ts"
import * as Position from "../domain/Position.ts"

/** What a partition ends in: everything at or before it is there. */
export interface Tail {
  readonly position: Position.Position
  /** Its last record is a delete whose tombstone, which has the same position, has not followed. */
  readonly endsInDelete: boolean
}

/**
 * The position of a record read back: a row's value carries it in its envelope, a tombstone and an event in a header.
 * undefined: the record is none of ours.
 */
export const read = (
  value: Buffer | null,
  headers: ReadonlyArray<readonly [Buffer | null, Buffer | null]>
): Tail | undefined => {
  const header = headers.find(([name]) => name?.toString() === Headers.position)?.[1]
  const position = header === undefined || header === null ? undefined : Position.parse(header.toString())
  if (position !== undefined) return { position, endsInDelete: false }
  return value === null ? undefined : fromEnvelope(value)
}

interface Envelope {
  readonly op?: unknown
  readonly source?: { readonly epoch?: unknown } | null
  readonly transaction?: { readonly id?: unknown; readonly total_order?: unknown } | null
}

const fromEnvelope = (value: Buffer): Tail | undefined => {
  const envelope = parse(value)
  const commitLsn = /^\d+:(\d{1,20})$/.exec(String(envelope?.transaction?.id))?.[1]
  const order = envelope?.transaction?.total_order
  const epoch = envelope?.source?.epoch
  if (commitLsn === undefined || typeof order !== "number" || typeof epoch !== "number") return undefined
  return { position: { epoch, commitLsn: Lsn(BigInt(commitLsn)), order }, endsInDelete: envelope?.op === "d" }
}

const parse = (value: Buffer): Envelope | undefined => {
  try {
    return JSON.parse(value.toString()) as Envelope
  } catch {
    return undefined
  }
}
