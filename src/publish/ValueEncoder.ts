import type { ColumnType } from "../domain/RowChange.ts"
import { encodeArray } from "./types/Arrays.ts"
import { bitsAndBytes } from "./types/Bits.ts"
import { numbers, numbersInArrays } from "./types/Numbers.ts"
import { spatial } from "./types/Spatial.ts"
import { temporal, temporalInArrays } from "./types/Temporal.ts"
import { quote, text } from "./types/Text.ts"

/** Postgres' text of a value → JSON text. Never fails: what it can't read it passes on as a JSON string. */
export type EncodeText = (text: string) => string

/** The types that are more than text, by `pg_type.typname`; each compiles an encoder for a column of it. */
export type TypeFamily = Readonly<Record<string, (type: ColumnType) => EncodeText>>

/** How values are written: of a column, and of an array's elements. Another mode is another table. */
export interface TypeMapping {
  readonly values: TypeFamily
  readonly elements: TypeFamily
  /** Types whose arrays Debezium has a mapping for; all other arrays are Postgres' text. */
  readonly inArrays: ReadonlySet<string>
}

const values: TypeFamily = { ...text, ...numbers, ...temporal, ...bitsAndBytes, ...spatial }

/**
 * Debezium's mapping with `decimal.handling.mode=string`, everything else at its defaults; where it drops a type or is
 * wrong, ours is Postgres' text or the right value. The whole list: docs/wire-format.md.
 */
export const debezium: TypeMapping = {
  values,
  elements: { ...values, ...numbersInArrays, ...temporalInArrays },
  inArrays: new Set([
    "bool", "int2", "int4", "int8", "oid", "float4", "float8", "numeric",
    "date", "time", "timetz", "timestamp", "timestamptz",
    "text", "varchar", "bpchar", "citext", "ltree", "hstore", "uuid", "json", "jsonb",
    "inet", "cidr", "macaddr", "macaddr8", "bit", "bytea"
  ])
}

/** Compiled once per column. */
export const valueEncoder = (type: ColumnType, mapping: TypeMapping = debezium): EncodeText => {
  if (type.kind === "array") return isMappedArray(type, mapping) ? encodeArray(compile(type.element!, mapping.elements)) : quote
  return compile(type, mapping.values)
}

/** Whether an array's elements become the elements of a JSON array. */
export const isMappedArray = ({ element }: ColumnType, mapping: TypeMapping = debezium): boolean =>
  element !== undefined &&
  (element.kind === "enum" || element.kind === "range" || (element.kind === "base" && mapping.inArrays.has(element.name)))

const compile = (type: ColumnType, family: TypeFamily): EncodeText =>
  type.kind === "base" && Object.hasOwn(family, type.name) ? family[type.name]!(type) : quote
