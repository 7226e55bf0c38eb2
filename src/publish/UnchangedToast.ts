import { createHash } from "node:crypto"
import type { ColumnType } from "../domain/RowChange.ts"
import { bytesAs } from "./types/Bits.ts"
import type { Modes } from "./types/Modes.ts"
import { isMappedArray } from "./ValueEncoder.ts"

/**
 * JSON text for a value that Postgres did not send because it is stored out of line and did not change. Debezium's form
 * where it has one (`UnchangedToastedReplicationMessageColumn`); for types that it does not map, and for other arrays, the form
 * nearest to it that can't be taken for a value. A bit string is null there, and so here.
 */
export const makeUnchanged = (modes: Modes): (type: ColumnType) => string => {
  const { bytea, byteaElement, bytes, hstore, numbers, text, uuid } = placeholders(modes)

  const ofArray = (element: ColumnType): string => {
    switch (element.kind === "base" ? element.name : "text") {
      case "bool":
        return "null"
      case "int2":
      case "int4":
      case "int8":
      case "oid":
      case "float4":
      case "float8":
        return numbers
      case "date":
      case "time":
      case "timestamp":
        return modes.timePrecisionMode === "isostring" ? `[${text}]` : numbers
      case "bytea":
        return `[${byteaElement}]`
      case "bit":
        return `[${bytes}]`
      case "hstore":
        return `[${hstore}]`
      case "uuid":
        return `[${uuid}]`
      default:
        return `[${text}]`
    }
  }

  return (type) => {
    if (type.kind === "array") return isMappedArray(type) ? ofArray(type.element!) : text
    if (type.kind !== "base") return text
    switch (type.name) {
      case "numeric":
        return modes.decimalHandlingMode === "string" ? text : "null"
      case "bit":
      case "varbit":
        return "null"
      case "bytea":
        return bytea
      case "hstore":
        return hstore
      case "vector":
      case "halfvec":
        return numbers
      case "geometry":
      case "geography":
        return `{"wkb":${bytes},"srid":null}`
      default:
        return text
    }
  }
}

/** Of a value that is published as a JSON string, whatever its type. */
export const unchangedText = (modes: Modes): string => JSON.stringify(placeholderBytes(modes).toString())

/** The placeholder in each form, as JSON text. */
const placeholders = (modes: Modes) => {
  const raw = placeholderBytes(modes)
  const text = unchangedText(modes)
  const object = `{${text}:${text}}`
  const { binaryHandlingMode, hstoreHandlingMode } = modes
  return {
    text,
    bytes: bytesAs.bytes(raw),
    /** Under `hex` Debezium writes the text as it is, though not inside of arrays. */
    bytea: binaryHandlingMode === "hex" ? text : bytesAs[binaryHandlingMode](raw),
    byteaElement: bytesAs[binaryHandlingMode](raw),
    hstore: hstoreHandlingMode === "map" ? object : JSON.stringify(object),
    /** Signed, as Java's bytes are. */
    numbers: JSON.stringify([...new Int8Array(raw)]),
    uuid: JSON.stringify(nameUuid(raw))
  }
}

/** The placeholder may be given as `hex:` and its bytes. */
const placeholderBytes = ({ unavailableValuePlaceholder: placeholder }: Modes): Buffer =>
  placeholder.startsWith("hex:") ? Buffer.from(placeholder.slice(4), "hex") : Buffer.from(placeholder)

/** Java's `UUID.nameUUIDFromBytes`: the MD5 with version 3 and the IETF variant set. */
const nameUuid = (name: Buffer): string => {
  const hash = createHash("md5").update(name).digest()
  hash[6] = (hash[6]! & 0x0f) | 0x30
  hash[8] = (hash[8]! & 0x3f) | 0x80
  return hash.toString("hex").replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-")
}
