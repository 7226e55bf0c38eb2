import { Lsn } from "./Lsn.ts"

/**
 * Where a record stands in the history of the database: it grows along every
 * partition and is the same on every replay of a streamed change.
 * The epoch comes first, because on another history (a restored branch) LSNs
 * may go back. `order` counts the row messages of a transaction from 1; a change of
 * primary key counts two.
 */
export interface Position {
  readonly epoch: number
  readonly commitLsn: Lsn
  readonly order: number
}

/** Negative, zero or positive, as `a` is before, at or after `b`. */
export const compare = (a: Position, b: Position): number => {
  if (a.epoch !== b.epoch) return a.epoch - b.epoch
  if (a.commitLsn !== b.commitLsn) return a.commitLsn < b.commitLsn ? -1 : 1
  return a.order - b.order
}

export const isAfter = (a: Position, b: Position): boolean => compare(a, b) > 0

/** Not merely further on in the same transaction. */
export const isInLaterTransaction = (a: Position, b: Position): boolean =>
  a.epoch !== b.epoch ? a.epoch > b.epoch : a.commitLsn > b.commitLsn

/** `<epoch>:<commit LSN, decimal>:<order>`, the form in headers and event ids. */
export const format = (position: Position): string => `${position.epoch}:${position.commitLsn}:${position.order}`

/** The inverse of `format`; undefined for anything else. */
export const parse = (text: string): Position | undefined => {
  const match = /^(\d{1,9}):(\d{1,20}):(\d{1,15})$/.exec(text)
  if (match === null) return undefined
  return { epoch: Number(match[1]), commitLsn: Lsn(BigInt(match[2]!)), order: Number(match[3]) }
}
