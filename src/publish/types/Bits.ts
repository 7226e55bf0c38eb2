import type { ColumnType } from "../../domain/RowChange.ts"
import type { EncodeText, TypeFamily } from "./TypeFamily.ts"
import type { Modes } from "./Modes.ts"
import { quote } from "./Text.ts"

/**
 * The bits as an unsigned integer, its bytes little-endian without high zero bytes, as base64: `1000000001` → `"AQI="`.
 * Debezium's `io.debezium.data.Bits`, a Java `BitSet.toByteArray`.
 */
const bits: EncodeText = (text) => {
  const bytes: Array<number> = []
  for (let end = text.length; end > 0; end -= 8) bytes.push(Number.parseInt(text.slice(Math.max(0, end - 8), end), 2))
  while (bytes.at(-1) === 0) bytes.pop()
  return `"${Buffer.from(bytes).toString("base64")}"`
}

/** `varbit(1)` may be empty, which is neither. */
const oneBit: EncodeText = (text) => (text === "1" ? "true" : text === "0" ? "false" : quote(text))

const bitString = (type: ColumnType): EncodeText => (type.modifier === 1 ? oneBit : bits)

/** Bytes as JSON text; `bytes` is base64 because Connect's JSON has no bytes. Java pads its url-safe base64, Node does not. */
export const bytesAs: Readonly<Record<Modes["binaryHandlingMode"], (bytes: Buffer) => string>> = {
  bytes: (bytes) => `"${bytes.toString("base64")}"`,
  base64: (bytes) => `"${bytes.toString("base64")}"`,
  "base64-url-safe": (bytes) => `"${bytes.toString("base64").replaceAll("+", "-").replaceAll("/", "_")}"`,
  hex: (bytes) => `"${bytes.toString("hex")}"`
}

/** `\x00ff`. The other output form (`bytea_output=escape`) is not what we ask the server for. */
const bytea = (mode: Modes["binaryHandlingMode"]): EncodeText => {
  const write = bytesAs[mode]
  return (text) => (text.startsWith("\\x") ? write(Buffer.from(text.slice(2), "hex")) : quote(text))
}

export const bitsAndBytes = ({ binaryHandlingMode }: Modes): TypeFamily => ({
  bit: bitString,
  varbit: bitString,
  bytea: () => bytea(binaryHandlingMode)
})
