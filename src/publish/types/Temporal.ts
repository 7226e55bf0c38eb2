import type { ColumnType } from "../../domain/RowChange.ts"
import type { EncodeText, TypeFamily } from "../ValueEncoder.ts"
import { quote } from "./Text.ts"

/*
 * Dates and times as Debezium writes them with `time.precision.mode=adaptive`, read from Postgres' ISO output
 * (`DateStyle ISO`, `IntervalStyle postgres`, `TimeZone UTC`). A text that is not of that form is passed on as it is: a value
 * must never stop the stream.
 */

const microsPerDay = 86_400_000_000n
const longMax = 9_223_372_036_854_775_807n

/** Days since 1970-01-01 in the proleptic Gregorian calendar, which is Postgres' own. Year 0 is 1 BC. */
const epochDay = (year: number, month: number, day: number): number => {
  const shifted = month <= 2 ? year - 1 : year
  const era = Math.floor(shifted / 400)
  const yearOfEra = shifted - era * 400
  const dayOfYear = Math.floor((153 * (month + (month > 2 ? -3 : 9)) + 2) / 5) + day - 1
  const dayOfEra = yearOfEra * 365 + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100) + dayOfYear
  return era * 146_097 + dayOfEra - 719_468
}

const yearOf = (digits: string, beforeChrist: string | undefined): number =>
  beforeChrist === undefined ? Number(digits) : 1 - Number(digits)

const encodeDate = (infinity: string, minusInfinity: string): EncodeText => (text) => {
  const match = /^(\d+)-(\d\d)-(\d\d)( BC)?$/.exec(text)
  if (match !== null) return String(epochDay(yearOf(match[1]!, match[4]), Number(match[2]), Number(match[3])))
  return text === "infinity" ? infinity : text === "-infinity" ? minusInfinity : quote(text)
}

/** Debezium's infinities: int32 overflows of Postgres' own number (of days since 2000) plus 10957. */
const date = encodeDate("-2147472692", "-2147472691")
/** In arrays they are overflows of the JDBC driver's instants instead; the negative one is computed, the positive one seen. */
const dateInArray = encodeDate("-622191234", "622191232")

const clock = /^(\d\d):(\d\d):(\d\d)(?:\.(\d{1,6}))?$/

const microsOfDay = (hours: string, minutes: string, seconds: string, fraction: string | undefined): number =>
  ((Number(hours) * 60 + Number(minutes)) * 60 + Number(seconds)) * 1_000_000 + Number((fraction ?? "").padEnd(6, "0"))

/** Milliseconds of a precision up to 3, microseconds above and without one. */
const countsMillis = (type: ColumnType): boolean => type.modifier >= 0 && type.modifier <= 3

const encodeTime = (type: ColumnType, modulo: number): EncodeText => {
  const divisor = countsMillis(type) ? 1000 : 1
  return (text) => {
    const match = clock.exec(text)
    if (match === null) return quote(text)
    const micros = microsOfDay(match[1]!, match[2]!, match[3]!, match[4]) % modulo
    return String(Math.floor(micros / divisor))
  }
}

/** `13:51:30.1+02` → `"11:51:30.1Z"`; 24:00 is the next day's 00:00. */
const timetz: EncodeText = (text) => {
  const match = /^(\d\d):(\d\d):(\d\d)(\.\d{1,6})?([+-])(\d\d)(?::(\d\d))?(?::(\d\d))?$/.exec(text)
  if (match === null) return quote(text)
  const [, hours, minutes, seconds, fraction = "", sign, offsetHours, offsetMinutes = "0", offsetSeconds = "0"] = match
  const local = (Number(hours) * 60 + Number(minutes)) * 60 + Number(seconds)
  const offset = (Number(offsetHours) * 60 + Number(offsetMinutes)) * 60 + Number(offsetSeconds)
  const utc = (local + (sign === "-" ? offset : -offset) + 2 * 86_400) % 86_400
  const parts = [Math.floor(utc / 3600), Math.floor(utc / 60) % 60, utc % 60]
  return `"${parts.map((part) => String(part).padStart(2, "0")).join(":")}${fraction}Z"`
}

const localTimestamp = /^(\d{4,})-(\d\d)-(\d\d) (\d\d):(\d\d):(\d\d)(?:\.(\d{1,6}))?( BC)?$/

const encodeTimestamp = (type: ColumnType): EncodeText => {
  const millis = countsMillis(type)
  const infinity = millis ? "9223372036825200" : "9223372036825200000"
  const minusInfinity = millis ? "-9223372036832400" : "-9223372036832400000"
  return (text) => {
    const match = localTimestamp.exec(text)
    if (match === null) return text === "infinity" ? infinity : text === "-infinity" ? minusInfinity : quote(text)
    const [, year, month, day, hours, minutes, seconds, fraction, beforeChrist] = match
    const days = epochDay(yearOf(year!, beforeChrist), Number(month), Number(day))
    const ofDay = microsOfDay(hours!, minutes!, seconds!, fraction)
    if (millis) return String(days * 86_400_000 + Math.floor(ofDay / 1000))
    const inDoubleRange = days > -100_000 && days < 100_000
    const micros = inDoubleRange ? days * 86_400_000_000 + ofDay : BigInt(days) * microsPerDay + BigInt(ofDay)
    return micros > longMax ? quote(text) : String(micros)
  }
}

/** `2026-07-01 06:30:00.1+00` → `"2026-07-01T06:30:00.100000Z"`, the fraction as long as the column's precision (6 without one). */
const encodeTimestamptz = (type: ColumnType): EncodeText => {
  const precision = type.modifier >= 0 ? type.modifier : 6
  return (text) => {
    const match = /^(\d{4,})(-\d\d-\d\d) (\d\d:\d\d:\d\d)(?:\.(\d{1,6}))?\+00( BC)?$/.exec(text)
    if (match === null) return quote(text)
    const [, digits, monthAndDay, time, fraction = "", beforeChrist] = match
    const padded = precision === 0 ? "" : `.${fraction.padEnd(precision, "0")}`
    return `"${isoYear(yearOf(digits!, beforeChrist))}${monthAndDay}T${time}${padded}Z"`
  }
}

/** ISO 8601's expanded form, as Java prints it: four digits at least, a sign before 0000 and after 9999. */
const isoYear = (year: number): string => {
  const digits = String(Math.abs(year)).padStart(4, "0")
  return year < 0 ? `-${digits}` : year > 9999 ? `+${digits}` : digits
}

/** A month is 365.25 ÷ 12 days. */
const microsPerMonth = 2_629_800_000_000n

/** `1 year 2 mons 3 days 04:05:06.789` → microseconds, held within a Java long; infinite ones are 0, as in Debezium. */
const interval: EncodeText = (text) => {
  const match = /^(?:(-?\d+) years? ?)?(?:([+-]?\d+) mons? ?)?(?:([+-]?\d+) days? ?)?(?:([+-])?(\d+):(\d\d):(\d\d)(?:\.(\d{1,6}))?)?$/.exec(text)
  if (match === null) return text.endsWith("infinity") ? "0" : quote(text)
  const [, years = "0", months = "0", days = "0", sign, hours = "0", minutes = "0", seconds = "0", fraction] = match
  const clockMicros = BigInt(hours) * 3_600_000_000n + BigInt(microsOfDay("0", minutes, seconds, fraction))
  const micros = (BigInt(years) * 12n + BigInt(months)) * microsPerMonth + BigInt(days) * microsPerDay +
    (sign === "-" ? -clockMicros : clockMicros)
  return String(micros > longMax ? longMax : micros < -longMax - 1n ? -longMax - 1n : micros)
}

export const temporal: TypeFamily = {
  date: () => date,
  time: (type) => encodeTime(type, Number.POSITIVE_INFINITY),
  timetz: () => timetz,
  timestamp: encodeTimestamp,
  timestamptz: encodeTimestamptz,
  interval: () => interval
}

/** As elements of an array Debezium reads dates and times through other Java types: 24:00 becomes 0, infinite dates other numbers. */
export const temporalInArrays: TypeFamily = {
  date: () => dateInArray,
  time: (type) => encodeTime(type, 86_400_000_000)
}
