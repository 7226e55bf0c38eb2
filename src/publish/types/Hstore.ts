import type { EncodeText, TypeFamily } from "./TypeFamily.ts"
import type { Modes } from "./Modes.ts"

type Entry = readonly [key: string, value: string | null]

/**
 * `"a"=>"1", "b"=>NULL`: hstore prints every key and value in double quotes, with `"` and `\` escaped by `\`.
 * Source: `hstore_out` in Postgres' `contrib/hstore/hstore_io.c`
 */
const parse = (text: string): ReadonlyArray<Entry> =>
  Array.from(text.matchAll(/"((?:[^"\\]|\\.)*)"=>(?:"((?:[^"\\]|\\.)*)"|NULL)/gs), ([, key, value]) =>
    [unescape(key!), value === undefined ? null : unescape(value)])

const unescape = (text: string): string => text.replace(/\\(.)/gs, "$1")

/**
 * An hstore has no order of its own; Debezium's is that of Java's `HashMap`, and its JSON is text, so ours is the same: by
 * `String.hashCode`, folded, in a table of buckets that doubles when it is more than three quarters full.
 */
const inHashOrder = (entries: ReadonlyArray<Entry>): ReadonlyArray<Entry> => {
  let buckets = 16
  while (entries.length > buckets * 0.75) buckets *= 2
  return entries
    .map((entry) => ({ entry, bucket: foldedHash(entry[0]) & (buckets - 1) }))
    .sort((a, b) => a.bucket - b.bucket)
    .map(({ entry }) => entry)
}

const foldedHash = (text: string): number => {
  let hash = 0
  for (let at = 0; at < text.length; at++) hash = (Math.imul(31, hash) + text.charCodeAt(at)) | 0
  return hash ^ (hash >>> 16)
}

const object: EncodeText = (text) =>
  `{${inHashOrder(parse(text)).map(([key, value]) => `${JSON.stringify(key)}:${JSON.stringify(value)}`).join(",")}}`

/** A JSON object, or one as text. */
export const hstore = ({ hstoreHandlingMode }: Modes): TypeFamily => ({
  hstore: () => hstoreHandlingMode === "map" ? object : (text) => JSON.stringify(object(text))
})
