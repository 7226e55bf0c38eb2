import type { Transaction } from "./Transaction.ts"

/** A column's type with domains resolved, so that a consumer of it needs no catalogue. */
export interface ColumnType {
  /** `pg_type.typname` of the base type: `int4`, `timestamptz`, `mood`; of an array the element's is in `element`. */
  readonly name: string
  readonly kind: "base" | "enum" | "range" | "multirange" | "composite" | "array" | "unknown"
  /** `atttypmod`, of the column or of the domain that carries it; −1 if there is none. */
  readonly modifier: number
  /** Of an array: the type of its elements. */
  readonly element?: ColumnType
}

export interface Column {
  readonly name: string
  readonly typeOid: number
  readonly type: ColumnType
}

/** A table as its changes describe it, at the time of the change. Immutable; a changed table is another object. */
export interface Relation {
  readonly oid: number
  readonly schema: string
  readonly table: string
  /** `pg_class.relreplident`: DEFAULT, NOTHING, FULL, USING INDEX. */
  readonly replicaIdentity: "d" | "n" | "f" | "i"
  /**
   * Whether Postgres sends the old key of a row that moves or goes: the replica identity has all of the key's columns. If not, an
   * update without an old row may have moved its row, and nothing says from where.
   */
  readonly sendsOldKey: boolean
  readonly columns: ReadonlyArray<Column>
  /**
   * Indexes into `columns` of the record's key, in primary-key order (not table order);
   * of REPLICA IDENTITY USING INDEX without a primary key, the index columns; empty: the table has no key.
   */
  readonly key: ReadonlyArray<number>
}

/**
 * The text of each column as Postgres sends it, in the relation's column order: a `RowBytes`, or an array. null is NULL;
 * undefined is a value that is not there: unchanged TOAST in a new row, a column outside of the key in a key-only old row.
 */
export interface Tuple {
  readonly length: number
  readonly at: (column: number) => string | null | undefined
}

/** The mark of a snapshot read in `source.snapshot`, as Debezium writes it; `incremental`: read again while streaming. */
export type SnapshotMark = "first" | "first_in_data_collection" | "true" | "last_in_data_collection" | "last" | "incremental"

interface Common {
  readonly relation: Relation
  readonly transaction: Transaction
  /** The first ordinal that this change takes in its transaction (`total_order`); a change of key takes two. */
  readonly order: number
  /** The same within its table (`data_collection_order`). */
  readonly collectionOrder: number
}

/**
 * One row's change, or one table's truncation, in commit order. The old row is `full` under REPLICA IDENTITY FULL,
 * holds only the identity's columns (`key`) when those changed or the row went, and is otherwise absent.
 */
export type RowChange =
  & Common
  & (
    | { readonly kind: "insert"; readonly after: Tuple }
    | { readonly kind: "update"; readonly before: OldRow | undefined; readonly after: Tuple }
    | { readonly kind: "delete"; readonly before: OldRow }
    | { readonly kind: "truncate" }
    | { readonly kind: "read"; readonly after: Tuple; readonly mark: SnapshotMark }
  )

export interface OldRow {
  readonly extent: "key" | "full"
  readonly tuple: Tuple
}
