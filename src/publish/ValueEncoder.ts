import type { ColumnType } from "../domain/RowChange.ts"
import { encodeArray } from "./types/Arrays.ts"
import { bitsAndBytes } from "./types/Bits.ts"
import { decimals, decimalsInArrays } from "./types/Decimals.ts"
import { hstore } from "./types/Hstore.ts"
import { intervals } from "./types/Intervals.ts"
import type { Modes } from "./types/Modes.ts"
import { numbers } from "./types/Numbers.ts"
import { spatial } from "./types/Spatial.ts"
import { temporal, temporalInArrays } from "./types/Temporal.ts"
import { quote } from "./types/Text.ts"
import type { EncodeText, TypeFamily } from "./types/TypeFamily.ts"
import { zoned } from "./types/Zoned.ts"

/**
 * Debezium's mapping as the modes have it; where it drops a type or is wrong, ours is Postgres' text or the right value.
 * The whole list: docs/wire-format.md. What comes out is called once per column.
 */
export const makeValueEncoder = (modes: Modes): (type: ColumnType) => EncodeText => {
  const values: TypeFamily = {
    ...numbers, ...decimals(modes), ...temporal(modes), ...zoned, ...intervals(modes), ...bitsAndBytes(modes), ...hstore(modes), ...spatial
  }
  const elements: TypeFamily = { ...values, ...decimalsInArrays(modes), ...temporalInArrays(modes) }
  return (type) => {
    if (type.kind === "array") return isMappedArray(type) ? encodeArray(compile(type.element!, elements)) : quote
    return compile(type, values)
  }
}

/** Whether an array's elements become the elements of a JSON array. */
export const isMappedArray = ({ element }: ColumnType): boolean =>
  element !== undefined &&
  (element.kind === "enum" || element.kind === "range" || (element.kind === "base" && mappedInArrays.has(element.name)))

/** Types whose arrays Debezium has a mapping for; all other arrays are Postgres' text. */
const mappedInArrays: ReadonlySet<string> = new Set([
  "bool", "int2", "int4", "int8", "oid", "float4", "float8", "numeric",
  "date", "time", "timetz", "timestamp", "timestamptz",
  "text", "varchar", "bpchar", "citext", "ltree", "hstore", "uuid", "json", "jsonb",
  "inet", "cidr", "macaddr", "macaddr8", "bit", "bytea"
])

const compile = (type: ColumnType, family: TypeFamily): EncodeText =>
  type.kind === "base" && Object.hasOwn(family, type.name) ? family[type.name]!(type) : quote
