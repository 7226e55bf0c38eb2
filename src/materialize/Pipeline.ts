import type { Schema } from "effect"
import type { EventAttributes } from "../domain/EventMessage.ts"
import type { BadInput } from "../domain/SourceChange.ts"
import type { TableName } from "../domain/TableName.ts"

/**
 * The language that pipelines are written in: data and pure functions, no I/O.
 *
 * A source row becomes an *entry* (what matters of it, kept as JSON), an entry makes *contributions* to *groups*, a group is
 * rendered into one row of its target table. The engine remembers each entry, so that an update or a delete takes back
 * exactly what was given: sums are exact integers, bags are ordered multisets, and a change costs the same whatever the
 * size of its group.
 */
export interface Pipeline {
  /** `bit-scores`: names the consumer group, the state tables, the metrics. Lower-case letters, digits, hyphens. */
  readonly name: string
  /** Grows when `sources` or their functions change meaning: old state can't be mixed with new. */
  readonly version: number
  /** The validated settings; a changed value is noticed by its hash. */
  readonly settings: unknown
  readonly sources: ReadonlyArray<Source>
  readonly groups: Readonly<Record<string, Group>>
  readonly mirror?: Mirror
}

export type Source = EntrySource | LinkSource | TriggerSource

/** Rows that contribute. Made with `entries`, which ties the types of its functions together. */
export interface EntrySource {
  readonly kind: "entries"
  readonly table: TableName
  /** The columns that are read, as they stand in the topic; a row that does not fit is a dead letter. */
  readonly row: Schema.ConstraintDecoder<unknown>
  /** null: this row contributes nothing (and what it did before ends). */
  readonly entry: (row: never) => Entry<unknown> | BadInput | null
  /** Instants (µs), ascending, at which the contribution changes by time alone; the phase is how many have passed. */
  readonly phases?: (value: never) => ReadonlyArray<bigint>
  /** Phase changes what is contributed, never to which groups; an entry with phases contributes to one group. */
  readonly contribute: (value: never, link: string | null, phase: number) => ReadonlyArray<Contribution>
  /** What an event that follows from a change of this row names as its cause; null: nothing. */
  readonly correlation?: (value: never) => string | null
  /** Its row in the pipeline's mirror; null: none. */
  readonly mirror?: (value: never, link: string | null) => Columns | null
  readonly carry?: Carry
}

/** Columns of the mirror that are copied from the source row itself, by its key: `{ metadata: "signal_metadata" }`. */
export interface Carry {
  readonly key: { readonly column: string; readonly type: SqlType }
  readonly columns: Readonly<Record<string, string>>
}

export interface Entry<Value> {
  /** JSON; no bigint in it. */
  readonly value: Value
  /** The key of the linked row (of the pipeline's `LinkSource`) that it depends on. */
  readonly link?: string | undefined
}

/** What one entry adds to one group, and takes back when it goes. */
export interface Contribution {
  readonly group: string
  /** The target row's key, as `RowKey.of` writes it. */
  readonly key: string
  readonly sums?: Readonly<Record<string, bigint>>
  /** One member per bag; a member counts as often as it is contributed. ASCII orders as expected; other text by its UTF-8 bytes. */
  readonly bags?: Readonly<Record<string, string>>
}

/** Rows that entries of this pipeline depend on by key, each as one text. An absent row links to null. At most one per pipeline. */
export interface LinkSource {
  readonly kind: "links"
  readonly table: TableName
  readonly row: Schema.ConstraintDecoder<unknown>
  readonly link: (row: never) => string
}

/** Rows whose coming or going makes the group of the same key worth writing again. */
export interface TriggerSource {
  readonly kind: "trigger"
  readonly table: TableName
  readonly group: string
  readonly on: "appear" | "disappear"
}

/** What is known of a group. A sum or bag that nothing contributes to is 0, or empty. */
export interface GroupState {
  readonly sum: (name: string) => bigint
  /** Names of the sums that are not 0. */
  readonly sums: Iterable<string>
  readonly bag: (name: string) => { readonly distinct: number; readonly max: string | null }
}

/** One aggregate row per key. */
export interface Group {
  readonly target: Target
  /**
   * The owned columns as of `now` (µs), and whether something in the source backs the row. A backed row must be there and right;
   * from then on it is managed: with nothing left behind it, it says so. A row that was never backed is left alone.
   */
  readonly render: (state: GroupState, now: bigint) => Rendered
  readonly announce?: Announcement
}

/**
 * Tells others when a column of the row takes another value: in the row's own transaction, so once for each change that others can see,
 * and in order per key. What was told last outlives the row and replays of the state, so that the chain of one key's events has no gap.
 */
export interface Announcement {
  /** The events' topic is `<prefix>.events.<topic>`, and one of `kafka.eventTopics`. */
  readonly topic: string
  /** The column whose change is news. */
  readonly column: string
  /** What is remembered of the row beside it, so that the next event can say what was told before. */
  readonly beside: ReadonlyArray<string>
  /** null: nobody needs to know; with nothing told before, it is then what the next event is compared with. */
  readonly event: (change: AnnouncedChange) => EventAttributes | null
}

export interface AnnouncedChange {
  readonly key: string
  /** `column` and `beside` as last told; null: never. */
  readonly before: Columns | null
  readonly after: Columns
  /** `change`: of a source row; `time`: nothing but time; `rescored`: settings or state were replaced. */
  readonly cause: "change" | "time" | "rescored"
  /** By `EntrySource.correlation`, each once, of the changes that made it so. */
  readonly correlations: ReadonlyArray<string>
  /** When it took effect (µs): what time alone brings about, at the very instant; a change, when the row was rendered. */
  readonly at: bigint
}

export interface Rendered {
  readonly columns: Columns
  readonly backed: boolean
  /** When the row must be looked at again though no change comes (µs); null or absent: only when an entry changes phase. */
  readonly nextAt?: bigint | null
}

/** Values by column, in Postgres' text form or as numbers. */
export type Columns = Readonly<Record<string, string | number | null>>

/** A table, most often the hub's, and the columns in it that we own: nothing else of it is ever written. */
export interface Target {
  readonly table: TableName
  /** The table is nobody's but this pipeline's: `cdc setup` makes it of what is said here, and adds what is added here. */
  readonly isOurs?: true
  /** The key columns, in their order. */
  readonly key: Readonly<Record<string, SqlType>>
  readonly columns: Readonly<Record<string, SqlType>>
  /** Moved only together with a value: `evaluated` is the instant rendered for, `written` the transaction's. */
  readonly stamps?: Readonly<Record<string, { readonly type: "timestamptz" | "timestamp"; readonly value: "evaluated" | "written" }>>
  /** Missing rows that are backed are inserted, under a lock on the parent if the key's first column refers to one; or never. */
  readonly insert: boolean
  readonly parent?: { readonly table: TableName; readonly column: string }
  /** Rows that a row of ours stands on, by a column that holds its key: while somebody has all of them locked, to delete them, none is inserted. */
  readonly backing?: { readonly table: TableName; readonly column: string }
  /** Of a group that announces: a row that was there and is missing is not inserted again for so long, since that may be an archive's beginning. */
  readonly restSeconds?: number
}

export type SqlType = "uuid" | "text" | "integer" | "numeric" | "timestamptz" | "timestamp" | "jsonb"

/** A table that has one row per entry, under an integer key (of one column) that stays with the source row for good. */
export interface Mirror {
  readonly target: Target
}

/** Ties the row's schema to the functions that read it. */
export const entries = <Row, Value>(source: {
  readonly table: TableName
  readonly row: Schema.ConstraintDecoder<Row>
  readonly entry: (row: Row) => Entry<Value> | BadInput | null
  readonly phases?: (value: Value) => ReadonlyArray<bigint>
  readonly contribute: (value: Value, link: string | null, phase: number) => ReadonlyArray<Contribution>
  readonly correlation?: (value: Value) => string | null
  readonly mirror?: (value: Value, link: string | null) => Columns | null
  readonly carry?: Carry
}): EntrySource => ({ kind: "entries", ...source }) as EntrySource

/** Ties the row's schema to the function that reads it. */
export const links = <Row>(source: {
  readonly table: TableName
  readonly row: Schema.ConstraintDecoder<Row>
  readonly link: (row: Row) => string
}): LinkSource => ({ kind: "links", ...source }) as LinkSource

export const trigger = (source: Omit<TriggerSource, "kind">): TriggerSource => ({ kind: "trigger", ...source })

export const badInput = (reason: string, message: string): BadInput => ({ reason, message })
export const isBadInput = (entry: Entry<unknown> | BadInput): entry is BadInput => "reason" in entry
