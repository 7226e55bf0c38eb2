import type { EncodeText, TypeFamily } from "../ValueEncoder.ts"

/** What JSON demands an escape for; Postgres' text is well-formed, so half surrogates can't come. */
// oxlint-disable-next-line no-control-regex
const needsEscape = /["\\\u0000-\u001f]/

/** A JSON string of any text. */
export const quote: EncodeText = (text) => (needsEscape.test(text) ? JSON.stringify(text) : `"${text}"`)

/**
 * `"a"=>"1", "b"=>NULL` becomes a JSON object as text. hstore prints every key and value in double quotes, with
 * `"` and `\` escaped by `\`. Source: `hstore_out` in Postgres' `contrib/hstore/hstore_io.c`.
 */
const hstoreToJson: EncodeText = (text) => {
  const entries: Array<string> = []
  for (const [, key, value] of text.matchAll(/"((?:[^"\\]|\\.)*)"=>(?:"((?:[^"\\]|\\.)*)"|NULL)/gs)) {
    entries.push(`${JSON.stringify(unescape(key!))}:${value === undefined ? "null" : JSON.stringify(unescape(value))}`)
  }
  return JSON.stringify(`{${entries.join(",")}}`)
}

const unescape = (text: string): string => text.replace(/\\(.)/gs, "$1")

/** Every other type of text is `quote`d, as is all that we do not interpret. */
export const text: TypeFamily = { hstore: () => hstoreToJson }
