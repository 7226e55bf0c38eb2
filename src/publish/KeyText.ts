/**
 * A key's JSON with the bytes that Kafka Connect's converter gives it, because those decide its partition: Jackson writes
 * what lies beyond the Basic Multilingual Plane as two escapes, and all escapes with capital digits (seen: `"\uD83C\uDF89"`).
 * In the headers of a changed key, which another converter writes, it has no such escapes.
 */
export const asConnectWrites = (json: string): string => differs.test(json) ? json.replace(escapeOrSurrogate, spell) : json

const differs = /[\ud800-\udfff]|\\u/
/** An escape is taken as a whole, so that the u behind an escaped backslash begins none. */
const escapeOrSurrogate = /\\u([0-9a-f]{4})|\\.|[\ud800-\udfff]/g

const spell = (match: string, digits: string | undefined): string => {
  if (digits !== undefined) return `\\u${digits.toUpperCase()}`
  return match.startsWith("\\") ? match : `\\u${match.charCodeAt(0).toString(16).toUpperCase()}`
}
