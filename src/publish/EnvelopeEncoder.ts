import type { RowChange, SnapshotMark } from "../domain/RowChange.ts"
import type { Transaction } from "../domain/Transaction.ts"
import type { ByteWriter } from "./ByteWriter.ts"

/** What every record of one capture says of where it comes from. */
export interface Origin {
  /** Debezium's `name`: the topic prefix. */
  readonly topicPrefix: string
  readonly database: string
  /** `source.version`. */
  readonly connectorVersion: string
  readonly epoch: number
}

export type Operation = "c" | "u" | "d" | "r" | "t"

/** The mark in `source.snapshot`; `"false"` in the stream. */
type Mark = SnapshotMark | "false"

/**
 * Writes Debezium's envelope for one table: `before, after, source, transaction, op, ts_ms, ts_us, ts_ns`, every field present,
 * in this order. `source` ends with our `epoch`. What is the same for all rows of a transaction is written once.
 *
 * `source.lsn` is the commit LSN, and `source.sequence` the same twice: Debezium puts the previous commit and the
 * record's own position there, but ours is (commit LSN, order), and only the commit LSN is the same on every replay.
 * A snapshot read has no previous commit and no transaction id.
 */
export class EnvelopeEncoder {
  /** What `source` begins with. */
  readonly #sourceStart: string
  readonly #database: string
  readonly #table: string
  /** What `source` ends with. */
  readonly #sourceEnd: string
  readonly #isSynthetic: boolean
  #transaction: Transaction | undefined
  #mark: Mark = "false"
  /** From `,"source":` to the transaction's `"total_order":`. */
  #middle = Buffer.alloc(0)
  #now = -1n
  /** `,"ts_ms":…` to the end. */
  #end = Buffer.alloc(0)

  /** `synthetic`: of records that no transaction made, marked so behind the epoch, and as read between the stream's. */
  constructor(origin: Origin, schema: string, table: string, kind: "captured" | "synthetic" = "captured") {
    this.#sourceStart = `"version":${JSON.stringify(origin.connectorVersion)},"connector":"postgresql","name":${JSON.stringify(origin.topicPrefix)}`
    this.#database = JSON.stringify(origin.database)
    this.#isSynthetic = kind === "synthetic"
    this.#sourceEnd = `,"epoch":${origin.epoch}${this.#isSynthetic ? ",\"synthetic\":true" : ""}}`
    this.#table = `,"schema":${JSON.stringify(schema)},"table":${JSON.stringify(table)}`
  }

  /** What comes before the old row's JSON text; behind it comes `betweenRows`, the new row's, and the rest. */
  begin(into: ByteWriter): void {
    into.bytes(beforeOldRow)
  }

  betweenRows(into: ByteWriter): void {
    into.bytes(beforeNewRow)
  }

  /** `order` and `collectionOrder` are the record's own. */
  end(change: RowChange, operation: Operation, order: number, collectionOrder: number, nowMicros: bigint, into: ByteWriter): void {
    const mark = this.#isSynthetic ? "incremental" : change.kind === "read" ? change.mark : "false"
    if (change.transaction !== this.#transaction || mark !== this.#mark) this.#begin(change.transaction, mark)
    if (nowMicros !== this.#now) this.#tick(nowMicros)
    into.bytes(this.#middle)
    into.text(`${order},"data_collection_order":${collectionOrder}},"op":"${operation}"`)
    into.bytes(this.#end)
  }

  #begin(transaction: Transaction, mark: Mark): void {
    const { commitMicros, xid } = transaction
    const lsn = String(transaction.commitLsn)
    const previous = mark === "false" ? `\\"${lsn}\\"` : "null"
    this.#transaction = transaction
    this.#mark = mark
    this.#middle = Buffer.from(`,"source":{${this.#sourceStart},"ts_ms":${floorToMillis(commitMicros)},"snapshot":"${mark}","db":${this.#database}` +
      `,"sequence":"[${previous},\\"${lsn}\\"]","ts_us":${commitMicros},"ts_ns":${commitMicros * 1000n}${this.#table}` +
      `,"txId":${xid === 0 ? "null" : xid},"lsn":${lsn},"xmin":null,"origin":null,"origin_lsn":null${this.#sourceEnd}` +
      `,"transaction":{"id":"${xid}:${lsn}","total_order":`)
  }

  #tick(nowMicros: bigint): void {
    this.#now = nowMicros
    this.#end = Buffer.from(`,"ts_ms":${floorToMillis(nowMicros)},"ts_us":${nowMicros},"ts_ns":${nowMicros * 1000n}}`)
  }
}

const beforeOldRow = Buffer.from('{"before":')
const beforeNewRow = Buffer.from(',"after":')

const floorToMillis = (micros: bigint): bigint => (micros - ((micros % 1000n) + 1000n) % 1000n) / 1000n
