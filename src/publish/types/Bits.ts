import type { EncodeText, TypeFamily } from "../ValueEncoder.ts"
import { javaFloat } from "./Numbers.ts"
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

/** `(1.5,-2)` → its coordinates and its WKB: byte order, type 1, x and y as little-endian doubles. */
const point: EncodeText = (text) => {
  const match = /^\((.+),(.+)\)$/.exec(text)
  if (match === null) return quote(text)
  const [, x, y] = match
  const wkb = Buffer.alloc(21)
  wkb.writeUInt8(1, 0)
  wkb.writeUInt32LE(1, 1)
  wkb.writeDoubleLE(Number(x), 5)
  wkb.writeDoubleLE(Number(y), 13)
  return `{"x":${javaFloat(x!)},"y":${javaFloat(y!)},"wkb":"${wkb.toString("base64")}","srid":null}`
}

export const bitsAndBytes: TypeFamily = {
  bit: (type) => (type.modifier === 1 ? oneBit : bits),
  varbit: () => bits,
  bytea: () => bytea,
  point: () => point
}
