import { isObject, type Json, type JsonObject, NumberText, parse } from "./Json.ts"

/** A record of a table's topic, as it is compared. */
export type Event = {
  /** Its bytes as text; null: a record without a key. */
  readonly key: string | null
  readonly headers: JsonObject
  /** null: a tombstone. */
  readonly value: Json
}

export interface StoredRecord {
  readonly key: Buffer | null
  readonly value: Buffer | null
  readonly headers: ReadonlyArray<readonly [name: string, value: string]>
}

export const read = ({ headers, key, value }: StoredRecord): Event => ({
  key: key === null ? null : text(key),
  headers: Object.fromEntries(headers),
  value: value === null ? null : parse(text(value))
})

const text = (bytes: Buffer): string => new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes)

export type Operation = "r" | "c" | "u" | "d" | "t" | "tombstone"

export const operationOf = ({ value }: Event): Operation => value === null ? "tombstone" : (value as { readonly op: Operation }).op

/** What one event is recognised by in the other's topic: its key, what it does, and the transaction that did it. */
export const identityOf = (event: Event): string => {
  const source = isObject(event.value) ? event.value.source : undefined
  const transaction = isObject(source) && source.txId instanceof NumberText ? source.txId.text : ""
  const operation = operationOf(event)
  return `${event.key} ${operation} ${operation === "r" ? "" : transaction}`
}

/** The transaction and the ordinal that the event has in it; undefined: a tombstone, or a snapshot's read of theirs. */
export const ordinalOf = ({ value }: Event): { readonly xid: string; readonly order: number } | undefined => {
  const transaction = isObject(value) ? value.transaction : undefined
  return isObject(transaction) && typeof transaction.id === "string" && transaction.total_order instanceof NumberText
    ? { xid: transaction.id.split(":")[0]!, order: Number(transaction.total_order.text) }
    : undefined
}

/** A delete that ours makes of its own accord, as of a row that a TRUNCATE removed. */
export const isSynthetic = ({ value }: Event): boolean => isObject(value) && isObject(value.source) && value.source.synthetic === true
