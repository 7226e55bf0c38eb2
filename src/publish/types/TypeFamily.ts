import type { ColumnType } from "../../domain/RowChange.ts"

/** Postgres' text of a value → JSON text. Never fails: what it can't read it passes on as a JSON string. */
export type EncodeText = (text: string) => string

/** The types that are more than text, by `pg_type.typname`; each compiles an encoder for a column of it. */
export type TypeFamily = Readonly<Record<string, (type: ColumnType) => EncodeText>>
