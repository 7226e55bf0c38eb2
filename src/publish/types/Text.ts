import type { EncodeText, TypeFamily } from "../ValueEncoder.ts"

/** What JSON demands an escape for; Postgres' text is well-formed, so half surrogates can't come. */
// oxlint-disable-next-line no-control-regex
const needsEscape = /["\\\u0000-\u001f]/

/** A JSON string of any text. */
export const quote: EncodeText = (text) => (needsEscape.test(text) ? JSON.stringify(text) : `"${text}"`)

/** A JSON string of text that by its type has nothing to escape: numbers, uuids, base64. */
export const quotePlain: EncodeText = (text) => `"${text}"`

/**
 * `"a"=>"1", "b"=>NULL` becomes a JSON object as text. hstore prints every key and value in double quotes, with
 * `"` and `\` escaped by `\`. Source: `hstore_out` in Postgres' `contrib/hstore/hstore_io.c`.
 */
export const hstoreToJson: EncodeText = (text) => {
  const entries: Array<string> = []
  for (const [, key, value] of text.matchAll(/"((?:[^"\\]|\\.)*)"=>(?:"((?:[^"\\]|\\.)*)"|NULL)/gs)) {
    entries.push(`${JSON.stringify(unescape(key!))}:${value === undefined ? "null" : JSON.stringify(unescape(value))}`)
  }
  return JSON.stringify(`{${entries.join(",")}}`)
}

const unescape = (text: string): string => text.replace(/\\(.)/gs, "$1")

/** Everything that Postgres prints and we do not interpret is `quote`d already; this family names what differs. */
export const text: TypeFamily = {
  uuid: () => quotePlain,
  macaddr: () => quotePlain,
  macaddr8: () => quotePlain,
  inet: () => quotePlain,
  cidr: () => quotePlain,
  hstore: () => hstoreToJson
}
