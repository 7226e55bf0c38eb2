/**
 * A position in Postgres' write-ahead log: 64 bits, written `X/Y` in hexadecimal.
 * Kept as a branded bigint so that it can never be compared as text
 * (`0/9` > `0/10` as strings) nor mixed up with an offset.
 * Source: https://www.postgresql.org/docs/current/datatype-pg-lsn.html
 */
export type Lsn = bigint & { readonly Lsn: unique symbol }

export const Lsn = (value: bigint): Lsn => value as Lsn

export const zero: Lsn = Lsn(0n)

/** Above every position in a log. */
export const last: Lsn = Lsn(0xffff_ffff_ffff_ffffn)

/** `16/B374D848` → 97500059720. Throws a `SyntaxError` that names the text. */
export const parse = (text: string): Lsn => {
  const match = /^([0-9A-Fa-f]{1,8})\/([0-9A-Fa-f]{1,8})$/.exec(text)
  if (match === null) throw new SyntaxError(`Not an LSN: ${JSON.stringify(text)}; expected X/Y in hexadecimal`)
  return Lsn((BigInt(`0x${match[1]}`) << 32n) | BigInt(`0x${match[2]}`))
}

/** 97500059720 → `16/B374D848`, the way Postgres prints it. */
export const format = (lsn: Lsn): string =>
  `${(lsn >> 32n).toString(16).toUpperCase()}/${(lsn & 0xffffffffn).toString(16).toUpperCase()}`

export const max = (a: Lsn, b: Lsn): Lsn => (a > b ? a : b)
