import type { EncodeText, TypeFamily } from "./TypeFamily.ts"
import { javaFloat } from "./Numbers.ts"
import { quote } from "./Text.ts"

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

/**
 * PostGIS prints EWKB in hexadecimal: byte order, type with flags, then the SRID if flag 0x20000000 is set.
 * Source: PostGIS' `doc/ZMSgeoms.txt`.
 */
const geometry: EncodeText = (text) => {
  const ewkb = Buffer.from(text, "hex")
  if (ewkb.length < 9 || ewkb.length * 2 !== text.length) return quote(text)
  const read = (at: number) => (ewkb[0] === 1 ? ewkb.readUInt32LE(at) : ewkb.readUInt32BE(at))
  const srid = (read(1) & 0x20000000) === 0 ? "null" : String(read(5))
  return `{"wkb":"${ewkb.toString("base64")}","srid":${srid}}`
}

/** pgvector prints `[1,2.5]`. */
const vector: EncodeText = (text) => {
  if (!/^\[[-+.,\de]+\]$/.test(text)) return quote(text)
  return `[${text.slice(1, -1).split(",").map(javaFloat).join(",")}]`
}

export const spatial: TypeFamily = {
  point: () => point,
  geometry: () => geometry,
  geography: () => geometry,
  vector: () => vector,
  halfvec: () => vector
}
