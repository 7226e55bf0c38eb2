import type { ColumnType } from "../../domain/RowChange.ts"

/** Postgres' text of a value → JSON text. Never fails: what it can't read it passes on as a JSON string. */
export interface EncodeText {
  (text: string): string
  /** The same from bytes to bytes, without a string in between; where there is none, or it can't, the text is taken. */
  readonly ascii?: EncodeAscii
}

/**
 * Writes the JSON text of the value in `from` between `start` and `end`, at `at` of `into`, where there is room for twice its length and 32 bytes
 * more. Returns where that ends; negative: it is not as simple as that, not ASCII for example. Whatever is at `at` then means nothing.
 */
export type EncodeAscii = (from: Uint8Array, start: number, end: number, into: Uint8Array, at: number) => number

/** What an `EncodeAscii` says of a value that it leaves to the text. */
export const notSoSimple = -1

/** The types that are more than text, by `pg_type.typname`; each compiles an encoder for a column of it. */
export type TypeFamily = Readonly<Record<string, (type: ColumnType) => EncodeText>>
