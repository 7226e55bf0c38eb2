import { createHash } from "node:crypto"
import type { ColumnType } from "../domain/RowChange.ts"
import { unavailableValue as placeholder } from "../domain/UnavailableValue.ts"
import { isMappedArray } from "./ValueEncoder.ts"

/**
 * JSON text for a value that Postgres did not send because it is stored out of line and did not change. Debezium's form
 * where it has one (`UnchangedToastedReplicationMessageColumn`); for types that it does not map, and for other arrays, the form
 * nearest to it that can't be taken for a value. A numeric is null there, and so here.
 */
export const unchanged = (type: ColumnType): string => {
  if (type.kind === "array") return isMappedArray(type) ? unchangedArray(type.element!) : unchangedText
  if (type.kind !== "base") return unchangedText
  switch (type.name) {
    case "numeric":
      return "null"
    case "bytea":
    case "bit":
    case "varbit":
      return unchangedBytes
    case "hstore":
      return unchangedHstore
    case "vector":
    case "halfvec":
      return unchangedNumbers
    case "geometry":
    case "geography":
      return `{"wkb":${unchangedBytes},"srid":null}`
    default:
      return unchangedText
  }
}

const unchangedArray = (element: ColumnType): string => {
  switch (element.kind === "base" ? element.name : "text") {
    case "bool":
      return "null"
    case "int2":
    case "int4":
    case "int8":
    case "oid":
    case "float4":
    case "float8":
    case "date":
    case "time":
    case "timestamp":
      return unchangedNumbers
    case "bytea":
    case "bit":
      return `[${unchangedBytes}]`
    case "hstore":
      return `[${unchangedHstore}]`
    case "uuid":
      return `["${nameUuid(placeholder)}"]`
    default:
      return `[${unchangedText}]`
  }
}

/** Java's `UUID.nameUUIDFromBytes`: the MD5 with version 3 and the IETF variant set. */
const nameUuid = (name: string): string => {
  const hash = createHash("md5").update(name).digest()
  hash[6] = (hash[6]! & 0x0f) | 0x30
  hash[8] = (hash[8]! & 0x3f) | 0x80
  return hash.toString("hex").replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-")
}

/** Of a value that is published as a JSON string. */
export const unchangedText = JSON.stringify(placeholder)
const unchangedBytes = JSON.stringify(Buffer.from(placeholder).toString("base64"))
const unchangedNumbers = JSON.stringify([...Buffer.from(placeholder)])
const unchangedHstore = JSON.stringify(JSON.stringify({ [placeholder]: placeholder }))
