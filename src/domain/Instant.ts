/**
 * Instants as bigint microseconds since 1970-01-01 UTC, which is what Postgres keeps: a JavaScript Date would lose the last
 * three digits.
 */
export const microsPerDay = 86_400_000_000n

const iso = /^([+-]\d{4,6}|\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(?:\.(\d{1,6}))?Z$/

/** Postgres' own limits of a bigint stand for its infinities, as they do in its memory. */
export const infinity = 2n ** 63n - 1n
export const minusInfinity = -(2n ** 63n)

/** `2016-11-04T11:51:30.123456Z` or `±infinity`, as topics write a timestamptz → µs. undefined: neither, or past the year 275760. */
export const parse = (text: string): bigint | undefined => {
  if (text === "infinity") return infinity
  if (text === "-infinity") return minusInfinity
  const match = iso.exec(text)
  if (match === null) return undefined
  const [, year, month, day, hour, minute, second, fraction = ""] = match
  const date = new Date(Date.UTC(2000, 0, 1, Number(hour), Number(minute), Number(second)))
  const millis = date.setUTCFullYear(Number(year), Number(month) - 1, Number(day)) // Date.UTC takes the years 0 to 99 for 19xx
  return Number.isNaN(millis) ? undefined : BigInt(millis) * 1000n + BigInt(fraction.padEnd(6, "0"))
}

/** µs → `2016-11-04 11:51:30.123456` in UTC, which Postgres reads as a timestamp; with `+00`, as a timestamptz. */
export const toSql = (micros: bigint): string => {
  if (micros === infinity) return "infinity"
  if (micros === minusInfinity) return "-infinity"
  const fraction = ((micros % 1_000_000n) + 1_000_000n) % 1_000_000n
  const date = new Date(Number((micros - fraction) / 1000n))
  const year = date.getUTCFullYear()
  const time = date.toISOString().slice(-20, -5).replace("T", " ") // -MM-DD HH:MM:SS
  const digits = `${String(Math.abs(year > 0 ? year : 1 - year)).padStart(4, "0")}${time}.${String(fraction).padStart(6, "0")}`
  return year > 0 ? digits : `${digits} BC`
}

/** µs → `2016-11-04T11:51:30.123456Z`, for instants from the year 1 on. */
export const toIso = (micros: bigint): string => `${toSql(micros).replace(" ", "T")}Z`

/** As `toSql`, with its zone said: `2016-11-04 11:51:30.123456+00`. */
export const toSqlWithZone = (micros: bigint): string => toSql(micros).replace(/(\d)( BC)?$/, "$1+00$2")

const offset = 10n ** 19n

/** A text of fixed width that orders as the instant does; inverse: `ofSortable`. */
export const toSortable = (micros: bigint): string => (micros + offset).toString().padStart(20, "0")
export const ofSortable = (text: string): bigint => BigInt(text) - offset
