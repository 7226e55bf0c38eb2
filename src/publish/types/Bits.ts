import type { EncodeText, TypeFamily } from "../ValueEncoder.ts"
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

const oneBit: EncodeText = (text) => (text === "1" ? "true" : "false")

/** `\x00ff` → base64. The other output form (`bytea_output=escape`) is not what we ask the server for. */
const bytea: EncodeText = (text) => (text.startsWith("\\x") ? `"${Buffer.from(text.slice(2), "hex").toString("base64")}"` : quote(text))

export const bitsAndBytes: TypeFamily = {
  bit: (type) => (type.modifier === 1 ? oneBit : bits),
  varbit: () => bits,
  bytea: () => bytea
}
