import * as Headers from "../domain/Headers.ts"
import type { OutgoingRecord } from "../domain/OutgoingRecord.ts"
import * as Position from "../domain/Position.ts"
import * as Remedy from "../domain/Remedy.ts"
import type { OldRow, Relation, RowChange, Tuple } from "../domain/RowChange.ts"
import { formatPath } from "../domain/SqlIdentifier.ts"
import * as TableName from "../domain/TableName.ts"
import * as TopicName from "../domain/TopicName.ts"
import type { Transaction } from "../domain/Transaction.ts"
import { ByteWriter } from "./ByteWriter.ts"
import type { ColumnPolicy } from "./ColumnPolicy.ts"
import { EncodeError } from "./EncodeError.ts"
import { EnvelopeEncoder, type Operation, type Origin } from "./EnvelopeEncoder.ts"
import { keyFields } from "./KeyFields.ts"
import { asConnectWrites } from "./KeyText.ts"
import { partitionOf } from "./Router.ts"
import { RowEncoder } from "./RowEncoder.ts"
import { bytesOf } from "./SendPlan.ts"
import * as TooLarge from "./TooLarge.ts"
import type { SweptKey } from "./SweepCandidates.ts"
import type { TypeMapping } from "./TypeMapping.ts"

export interface RecordEncoderOptions extends Origin {
  /** How many partitions a topic has; undefined: it is gone. Asked once per relation: it never changes. */
  readonly partitionsOf: (topic: string) => number | undefined
  /** Whether a topic is compacted, and so refuses records without a key. Asked once per relation. */
  readonly compacted: (topic: string) => boolean
  /** The largest record that is sent to a topic. Asked once per relation. */
  readonly maxRecordBytesOf: (topic: string) => number
  /** A null value after every delete. */
  readonly tombstones: boolean
  /** A record `t` in every partition on TRUNCATE. */
  readonly truncates: boolean
  /** How values are written. */
  readonly types: TypeMapping
  /** What must not leave as it is. */
  readonly columns: ColumnPolicy
}

export interface RecordEncoder {
  /**
   * Appends the records of one change, in the order in which they must be sent. `nowMicros` becomes the envelope's `ts_*`.
   * Most changes are one record; a delete has a tombstone behind it; a change of key is a delete, its tombstone and a
   * create; a truncate is a record per partition, and none if those are turned off. What would be too large for its topic lacks
   * its largest columns, and has a dead letter behind it (`TooLarge.ts`).
   * Throws an `EncodeError` where Postgres did not send the key, or the topic has no place for the record.
   */
  readonly encode: (change: RowChange, nowMicros: bigint, into: Array<OutgoingRecord>) => void
  /**
   * Appends the delete, and its tombstone, of a key that the table has no more although nothing in the stream says so. `order` is its
   * place at the position of `transaction`. false, and nothing: under so large a key a row that is there could not have been published, either.
   */
  readonly sweep: (relation: Relation, swept: SweptKey, transaction: Transaction, order: number, into: Array<OutgoingRecord>) => boolean
  /** The text of a row's key, as its records will have it; undefined: the table has none. */
  readonly key: (relation: Relation, row: Tuple) => string | undefined
  /**
   * What is returned gives back the memory of all records made so far, to be written again: to be called once Kafka has acknowledged them
   * and nobody else has any.
   */
  readonly cutMemory: () => () => void
}

/** A table is compiled when its `Relation` object is first seen; a changed table is another object. */
export const makeRecordEncoder = (options: RecordEncoderOptions): RecordEncoder => {
  const tables = new WeakMap<Relation, TableEncoder>()
  const writer = new ByteWriter()
  let last: TableEncoder | undefined
  const tableOf = (relation: Relation): TableEncoder => {
    if (last?.relation === relation) return last
    last = tables.get(relation) ?? new TableEncoder(relation, options, writer)
    tables.set(relation, last)
    return last
  }
  return {
    encode: (change, nowMicros, into) => {
      const table = tableOf(change.relation)
      const start = into.length
      table.encode(change, nowMicros, into)
      if (TooLarge.excessOf(into, start, table.maxRecordBytes) > 0) into.push(...table.fit(change, nowMicros, into.splice(start)))
    },
    sweep: (relation, swept, transaction, order, into) => tableOf(relation).sweep(swept, transaction, order, into),
    key: (relation, row) => tableOf(relation).key(row),
    cutMemory: () => writer.cut()
  }
}

type Insert = Extract<RowChange, { readonly kind: "insert" }>
type Read = Extract<RowChange, { readonly kind: "read" }>
type Update = Extract<RowChange, { readonly kind: "update" }>
type Delete = Extract<RowChange, { readonly kind: "delete" }>
type HeaderList = NonNullable<OutgoingRecord["headers"]>

class TableEncoder {
  readonly relation: Relation
  readonly #options: RecordEncoderOptions
  readonly maxRecordBytes: number
  readonly #topic: string
  readonly #partitions: number
  readonly #rows: RowEncoder
  /** As a record that lacks all of them names them, about. */
  readonly #allColumns: string
  readonly #envelopes: EnvelopeEncoder
  readonly #syntheticEnvelopes: EnvelopeEncoder
  readonly #writer: ByteWriter

  constructor(relation: Relation, options: RecordEncoderOptions, writer: ByteWriter) {
    this.relation = relation
    this.#writer = writer
    this.#options = options
    this.#topic = TopicName.ofTable(options.topicPrefix, relation)
    this.#partitions = options.partitionsOf(this.#topic) ?? refuse(relation, `topic ${this.#topic} is gone: run \`cdc setup\`, which makes it again`)
    if (relation.key.length === 0 && options.compacted(this.#topic)) {
      refuse(relation, `the table has no key any more, and topic ${this.#topic} is compacted, which takes no record without one: give it a primary key`)
    }
    this.maxRecordBytes = options.maxRecordBytesOf(this.#topic)
    this.#rows = new RowEncoder(relation, options.types, options.columns)
    this.#allColumns = relation.columns.map(({ name }) => formatPath([name])).join(",")
    this.#envelopes = new EnvelopeEncoder(options, relation.schema, relation.table)
    this.#syntheticEnvelopes = new EnvelopeEncoder(options, relation.schema, relation.table, "synthetic")
  }

  key(row: Tuple): string | undefined {
    const key = this.#rows.key(row, undefined)
    return key === undefined ? undefined : asConnectWrites(key)
  }

  encode(change: RowChange, nowMicros: bigint, into: Array<OutgoingRecord>): void {
    switch (change.kind) {
      case "insert":
      case "read":
        into.push(this.#created(change, change.kind === "read" ? "r" : "c", nowMicros))
        break
      case "update":
        this.#updated(change, nowMicros, into)
        break
      case "delete":
        this.#deleted(change, undefined, nowMicros, into)
        break
      case "truncate":
        this.#truncated(change, nowMicros, into)
    }
  }

  /** The records of a change again, each small enough for the topic. */
  fit(change: RowChange, nowMicros: bigint, records: ReadonlyArray<OutgoingRecord>): ReadonlyArray<OutgoingRecord> {
    return TooLarge.fit({
      change,
      records,
      limit: this.maxRecordBytes,
      columns: this.#rows.sizes(tuplesOf(change)),
      encode: (change) => {
        const records: Array<OutgoingRecord> = []
        this.encode(change, nowMicros, records)
        return records
      }
    })
  }

  /** In the partition where the key was found. */
  sweep({ key, partition }: SweptKey, transaction: Transaction, order: number, into: Array<OutgoingRecord>): boolean {
    const change: Delete = { kind: "delete", relation: this.relation, transaction, order, collectionOrder: order, before: { extent: "key", tuple: [] } }
    const fields = keyFields(key) ?? new Map<string, string>()
    const recordOf = (others: "null" | "unavailable", headers?: HeaderList): OutgoingRecord => ({
      topic: this.#topic, partition, key, headers, position: this.#position(change, 0), value: this.#syntheticValue(change, fields, others)
    })
    const leastOfRow = recordOf("unavailable", [[Headers.columnsTooLarge, this.#allColumns]])
    if (bytesOf(leastOfRow) > this.maxRecordBytes) return false
    this.#pushDeleted(recordOf("null"), undefined, into)
    return true
  }

  #created(change: Insert | Read, operation: Operation, nowMicros: bigint): OutgoingRecord {
    const key = this.#key(change.after, undefined)
    const value = this.#value(change, operation, undefined, change.after, 0, nowMicros)
    return this.#record(key, value, undefined, this.#position(change, 0))
  }

  #updated(change: Update, nowMicros: bigint, into: Array<OutgoingRecord>): void {
    const { after, before } = change
    if (this.#rows.keyChanged(before?.tuple, after)) {
      this.#moved(change, before!, nowMicros, into)
      return
    }
    const key = this.#key(after, before?.tuple)
    const value = this.#value(change, "u", before, after, 0, nowMicros)
    into.push(this.#record(key, value, undefined, this.#position(change, 0)))
  }

  /** A change of key: the row goes under its old key and comes under the new one, each record naming the other's key. */
  #moved(change: Update, before: OldRow, nowMicros: bigint, into: Array<OutgoingRecord>): void {
    const { after } = change
    const oldKey = this.#rows.key(before.tuple, undefined)!
    const newKey = this.#rows.key(after, before.tuple)!
    this.#deleted({ ...change, kind: "delete", before }, [[Headers.newKey, newKey]], nowMicros, into)
    const key = this.#key(after, before.tuple)
    const value = this.#value(change, "c", undefined, after, 1, nowMicros, before.tuple)
    into.push(this.#record(key, value, [[Headers.oldKey, oldKey]], this.#position(change, 1)))
  }

  #deleted(change: Delete, headers: HeaderList | undefined, nowMicros: bigint, into: Array<OutgoingRecord>): void {
    const key = this.#key(change.before.tuple, undefined)
    const value = this.#value(change, "d", change.before, undefined, 0, nowMicros)
    this.#pushDeleted(this.#record(key, value, headers, this.#position(change, 0)), headers, into)
  }

  #pushDeleted(record: OutgoingRecord, headers: HeaderList | undefined, into: Array<OutgoingRecord>): void {
    into.push(record)
    if (!this.#options.tombstones) return
    into.push({ ...record, value: null, headers: [...headers ?? [], [Headers.position, Position.format(record.position)]] })
  }

  /** Every partition must learn of it, since each holds some of the table's keys. */
  #truncated(change: RowChange, nowMicros: bigint, into: Array<OutgoingRecord>): void {
    if (!this.#options.truncates) return
    const key = this.#options.compacted(this.#topic)
      ? Buffer.from(JSON.stringify({ __cdc_truncate: TableName.format(this.relation) }))
      : null
    const value = this.#value(change, "t", undefined, undefined, 0, nowMicros)
    const position = this.#position(change, 0)
    for (let partition = 0; partition < this.#partitions; partition++) {
      into.push({ topic: this.#topic, partition, key, value, headers: undefined, position })
    }
  }

  /**
   * `old` has what the new row lacks, without being published as `before`. `step` is 1 for the create of a changed key, which takes the
   * ordinal after its delete's.
   */
  #value(
    change: RowChange,
    operation: Operation,
    before: OldRow | undefined,
    after: Tuple | undefined,
    step: 0 | 1,
    nowMicros: bigint,
    old: Tuple | undefined = before?.tuple
  ): Buffer {
    const writer = this.#writer
    writer.begin()
    this.#envelopes.begin(writer)
    if (before === undefined) writer.text("null")
    else if (before.extent === "full") this.#rows.row(before.tuple, undefined, writer)
    else this.#rows.partialRow(before.tuple, writer)
    this.#envelopes.betweenRows(writer)
    if (after === undefined) writer.text("null")
    else this.#rows.row(after, old, writer)
    this.#envelopes.end(change, operation, change.order + step, change.collectionOrder + step, nowMicros, writer)
    return writer.take()
  }

  #syntheticValue(change: RowChange, key: ReadonlyMap<string, string>, others: "null" | "unavailable"): Buffer {
    const writer = this.#writer
    writer.begin()
    this.#syntheticEnvelopes.begin(writer)
    this.#rows.rowOfKey(key, others, writer)
    this.#syntheticEnvelopes.betweenRows(writer)
    writer.text("null")
    this.#syntheticEnvelopes.end(change, "d", change.order, change.collectionOrder, change.transaction.commitMicros, writer)
    return writer.take()
  }

  #key(tuple: Tuple, old: Tuple | undefined): Buffer | null {
    this.#writer.begin()
    return this.#rows.recordKey(tuple, old, this.#writer) ? this.#writer.take() : null
  }

  #position(change: RowChange, step: 0 | 1): Position.Position {
    return { epoch: this.#options.epoch, commitLsn: change.transaction.commitLsn, order: change.order + step }
  }

  #record(key: Buffer | null, value: Buffer, headers: HeaderList | undefined, position: Position.Position): OutgoingRecord {
    return { topic: this.#topic, partition: partitionOf(key, this.#partitions), key, value, headers, position }
  }
}

const tuplesOf = (change: RowChange): ReadonlyArray<Tuple | undefined> => {
  switch (change.kind) {
    case "insert":
    case "read":
      return [change.after]
    case "update":
      return [change.after, change.before?.tuple]
    case "delete":
      return [change.before.tuple]
    case "truncate":
      return []
  }
}

const refuse = (relation: Relation, why: string): never => {
  throw new EncodeError(relation, why, Remedy.readAgain(relation))
}
