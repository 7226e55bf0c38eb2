import type { EncodeText } from "./TypeFamily.ts"

/** What JSON demands an escape for; Postgres' text is well-formed, so half surrogates can't come. */
// oxlint-disable-next-line no-control-regex
const needsEscape = /["\\\u0000-\u001f]/

/** A JSON string of any text. */
export const quote: EncodeText = (text) => (needsEscape.test(text) ? JSON.stringify(text) : `"${text}"`)
