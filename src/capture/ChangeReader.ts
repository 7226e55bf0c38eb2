import { Effect } from "effect"
import type { PostgresError } from "../connections/PostgresError.ts"
import { isKeyChange } from "../domain/KeyChange.ts"
import * as EventMessage from "../domain/EventMessage.ts"
import type { Lsn } from "../domain/Lsn.ts"
import type { Relation, RowChange } from "../domain/RowChange.ts"
import type { Transaction } from "../domain/Transaction.ts"
import { CaptureError } from "./CaptureError.ts"
import type { Catalogue } from "./Catalogue.ts"
import { StreamedXids } from "./StreamedXids.ts"
import type { WalMessage, WalRelation } from "./WalMessage.ts"

export type Commit = Extract<WalMessage, { readonly _tag: "Commit" }>

/** What a stretch of the stream comes to; it may begin and end in the middle of a transaction. */
export interface ChangeBatch {
  /** Of the selected tables, in commit order. */
  readonly changes: ReadonlyArray<RowChange>
  /** Messages under our prefix, in order; mostly there are none. */
  readonly marks: ReadonlyArray<Mark>
  /** The last transaction that ends in it. */
  readonly lastCommit: Commit | undefined
  readonly commits: number
}

/** A message of `pg_logical_emit_message` in its place among the changes. */
export interface Mark {
  /** How many of the batch's changes come before it. */
  readonly changesBefore: number
  /** How many transactions the stream had begun before it: a place in `ChangeReader.streamed`. */
  readonly transactionsBefore: number
  readonly prefix: string
  readonly content: string
  /** Of a message outside of transactions the end of its record: every commit streamed before it starts below this − 1. */
  readonly lsn: Lsn
  /** Of an event: the transaction that it is part of, and its ordinal among that one's events, from 1. */
  readonly event: { readonly transaction: Transaction; readonly order: number } | undefined
}

/** Messages under other prefixes are other people's. */
const ourPrefix = "cdc."

/**
 * Turns the messages of one stream into changes that say everything about themselves. Ordinals count the row messages as the
 * server sends them, before any selection, so that a changed configuration never renumbers a transaction that is replayed:
 * a change of key counts two, a truncation one per table, a message none. Events have ordinals of their own.
 */
export class ChangeReader {
  readonly #catalogue: Catalogue
  readonly #isSelected: (table: Relation) => boolean
  readonly #relations = new Map<number, { readonly relation: Relation; readonly selected: boolean }>()
  /** By relation OID: the rows of the current transaction. */
  readonly #counts = new Map<number, number>()
  #transaction: Transaction | undefined
  #order = 0
  #events = 0
  /** The transactions that this stream brought. */
  readonly streamed = new StreamedXids()

  constructor(catalogue: Catalogue, isSelected: (table: Relation) => boolean) {
    this.#catalogue = catalogue
    this.#isSelected = isSelected
  }

  /** Asks the catalogue for each relation that is announced, before the rows after them are read; else it is a plain loop. */
  readonly read = (messages: ReadonlyArray<WalMessage>): Effect.Effect<ChangeBatch, CaptureError | PostgresError> => {
    const batch: MutableBatch = { changes: [], marks: [], lastCommit: undefined, commits: 0 }
    const from = (start: number): Effect.Effect<ChangeBatch, CaptureError | PostgresError> =>
      Effect.suspend(() => {
        const stop = this.#readUntilUnknown(messages, start, batch)
        if (stop === messages.length) return Effect.succeed(batch)
        const unknown = messages[stop] as WalRelation
        return Effect.flatMap(this.#catalogue.resolve(unknown, this.#transaction?.xid), (relation) => {
          this.#remember(relation)
          return from(stop + 1)
        })
      })
    return Effect.catchDefect(from(0), (defect) =>
      defect instanceof CaptureError ? Effect.fail(defect) : Effect.die(defect))
  }

  /** Returns where it stopped: at a relation, which only the catalogue can complete, or at the end. */
  #readUntilUnknown(messages: ReadonlyArray<WalMessage>, start: number, batch: MutableBatch): number {
    for (let index = start; index < messages.length; index++) {
      const message = messages[index]!
      switch (message._tag) {
        case "Begin":
          this.#transaction = message.transaction
          this.#order = 0
          this.#events = 0
          this.#counts.clear()
          this.streamed.add(message.transaction.xid)
          break
        case "Commit":
          this.#transaction = undefined
          batch.lastCommit = message
          batch.commits++
          break
        case "Relation":
          return index
        case "Insert":
        case "Update":
        case "Delete":
          this.#readRow(message, batch.changes)
          break
        case "Truncate":
          for (const oid of message.relationOids) this.#readTruncate(oid, batch.changes)
          break
        case "Message":
          if (message.prefix.startsWith(ourPrefix)) batch.marks.push(this.#markOf(message, batch.changes.length))
          break
        case "Type":
        case "Origin":
          break // they change no row
      }
    }
    return messages.length
  }

  #readRow(message: RowMessage, into: Array<RowChange>): void {
    const { relation, selected } = this.#announced(message.relationOid)
    if (!fits(message, relation.columns.length)) throw undecodable(`a row of ${relation.schema}.${relation.table} with other columns than announced`)
    const takesTwo = message._tag === "Update" && isKeyChange(relation, message.before, message.after)
    const place = this.#place(relation, takesTwo ? 2 : 1)
    if (!selected) return
    if (message._tag === "Insert") into.push({ kind: "insert", ...place, after: message.after })
    else if (message._tag === "Update") into.push({ kind: "update", ...place, before: message.before, after: message.after })
    else into.push({ kind: "delete", ...place, before: message.before })
  }

  #markOf(message: Extract<WalMessage, { readonly _tag: "Message" }>, changesBefore: number): Mark {
    const { lsn, prefix, transactional } = message
    const isEvent = transactional && prefix === EventMessage.prefix && this.#transaction !== undefined
    const event = isEvent ? { transaction: this.#transaction!, order: ++this.#events } : undefined
    return { event, changesBefore, transactionsBefore: this.streamed.count, prefix, content: message.content.toString(), lsn }
  }

  #readTruncate(oid: number, into: Array<RowChange>): void {
    const { relation, selected } = this.#announced(oid)
    const place = this.#place(relation, 1)
    if (selected) into.push({ kind: "truncate", ...place })
  }

  #place(relation: Relation, ordinals: 1 | 2) {
    const transaction = this.#transaction
    if (transaction === undefined) throw undecodable(`a row of ${relation.schema}.${relation.table} outside of a transaction`)
    const order = this.#order + 1
    const before = this.#counts.get(relation.oid) ?? 0
    this.#order += ordinals
    this.#counts.set(relation.oid, before + ordinals)
    return { relation, transaction, order, collectionOrder: before + 1 }
  }

  #announced(oid: number) {
    const known = this.#relations.get(oid)
    if (known === undefined) throw undecodable(`a row of relation ${oid}, which was never announced`)
    return known
  }

  #remember(relation: Relation): void {
    this.#relations.set(relation.oid, { relation, selected: this.#isSelected(relation) })
  }
}

type RowMessage = Extract<WalMessage, { readonly _tag: "Insert" | "Update" | "Delete" }>

const fits = (message: RowMessage, columns: number): boolean =>
  (message._tag === "Delete" || message.after.length === columns) &&
  (message._tag === "Insert" || message.before === undefined || message.before.tuple.length === columns)

interface MutableBatch {
  readonly changes: Array<RowChange>
  readonly marks: Array<Mark>
  lastCommit: Commit | undefined
  commits: number
}

const undecodable = (what: string) =>
  new CaptureError({ reason: "undecodable", message: `The slot's stream holds ${what}. Nothing past it is confirmed; this needs a fixed version.` })
