import type { Position } from "./Position.ts"

/** A record as Kafka keeps it: what a dead letter repeats unchanged. */
export interface RawRecord {
  readonly topic: string
  readonly partition: number
  readonly offset: bigint
  readonly key: Buffer | null
  readonly value: Buffer | null
  readonly headers: ReadonlyArray<readonly [name: string, value: Buffer]>
}

/** One row's latest word, read from its topic. */
export type SourceChange = {
  readonly record: RawRecord
  readonly position: Position
  /** When the transaction committed, in microseconds since 1970 UTC; for latency only. */
  readonly commitMicros: number
  /** The transaction's id (32 bits); 0: a snapshot's read. */
  readonly xid: number
} & (
  | {
    readonly kind: "upsert"
    /** The row's key as one text: the key column's value, or a JSON array of several. */
    readonly key: string
    readonly row: Readonly<Record<string, unknown>>
    /** Read by a snapshot, not seen in the stream. */
    readonly isRead: boolean
    /** The row was not there before (an insert), or may not have been (a snapshot's read). */
    readonly isNew: boolean
  }
  | { readonly kind: "delete"; readonly key: string }
  /** All rows last seen in this record's partition are gone. */
  | { readonly kind: "truncate" }
)

/** Why a record can't be used, for the dead letters' headers and metrics; never holds a row value. */
export interface BadInput {
  /** A short constant word, such as `not-json` or `decay-not-positive`: a metric's label. */
  readonly reason: string
  readonly message: string
}

/** A record that can't be used, and what is known of it all the same. */
export interface BadRecord {
  readonly record: RawRecord
  readonly why: BadInput
  /** The row's key, as `SourceChange` has it; null: that can't be read either. */
  readonly key: string | null
  /** Its row is not known: what it contributed before stays, and may be wrong. Else it is known to contribute nothing. */
  readonly isSuspect: boolean
}

/** What was fetched of one partition: its records, those that could not be read apart, and where it ends. */
export interface PartitionBatch {
  readonly topic: string
  readonly partition: number
  /** The offset after the last record. */
  readonly nextOffset: bigint
  readonly changes: ReadonlyArray<SourceChange>
  readonly unreadable: ReadonlyArray<BadRecord>
}
