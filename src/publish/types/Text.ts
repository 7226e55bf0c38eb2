import { type EncodeAscii, type EncodeText, notSoSimple } from "./TypeFamily.ts"

/** What JSON demands an escape for; Postgres' text is well-formed, so half surrogates can't come. */
// oxlint-disable-next-line no-control-regex
const needsEscape = /["\\\u0000-\u001f]/

const quotationMark = 0x22
const backslash = 0x5c

/** Control characters have escapes of several kinds. */
const quoteAscii: EncodeAscii = (from, start, end, into, at) => {
  into[at++] = quotationMark
  for (let index = start; index < end; index++) {
    const byte = from[index]!
    if (byte < 0x20 || byte > 0x7f) return notSoSimple
    if (byte === quotationMark || byte === backslash) into[at++] = backslash
    into[at++] = byte
  }
  into[at++] = quotationMark
  return at
}

/** A JSON string of any text. */
export const quote: EncodeText = Object.assign(
  (text: string) => (needsEscape.test(text) ? JSON.stringify(text) : `"${text}"`),
  { ascii: quoteAscii }
)
