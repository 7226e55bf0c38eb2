import type { ColumnType } from "../../domain/RowChange.ts"
import type { EncodeText, TypeFamily } from "./TypeFamily.ts"
import { clock, epochDay, isoYear, longMax, longMin, microsOfDay, microsPerDay, yearOf } from "./Calendar.ts"
import type { Modes } from "./Modes.ts"
import { quote } from "./Text.ts"

/*
 * Dates and times without a zone as Debezium writes them, read from Postgres' ISO output (`DateStyle ISO`). A text that is not
 * of that form is passed on as it is: a value must never stop the stream.
 */

type Unit = "millis" | "micros" | "nanos" | "iso"

/** `adaptive`: milliseconds up to a precision of 3, microseconds above and without one. */
const adaptive = ({ modifier }: ColumnType): Unit => (modifier >= 0 && modifier <= 3 ? "millis" : "micros")
const always = (unit: Unit) => (): Unit => unit

/** Which unit a column of each type has. Debezium's `connect` are Kafka Connect's logical types, which count milliseconds. */
const units: Readonly<Record<Modes["timePrecisionMode"], {
  readonly time: (type: ColumnType) => Unit
  readonly timestamp: (type: ColumnType) => Unit
}>> = {
  adaptive: { time: adaptive, timestamp: adaptive },
  adaptive_time_microseconds: { time: always("micros"), timestamp: adaptive },
  microseconds: { time: always("micros"), timestamp: always("micros") },
  nanoseconds: { time: always("nanos"), timestamp: always("nanos") },
  connect: { time: always("millis"), timestamp: always("millis") },
  isostring: { time: always("iso"), timestamp: always("iso") }
}

/** `44 BC` and what follows the year 9999 included. */
const anyDate = /^(\d{4,})-(\d\d)-(\d\d)( BC)?$/

const encodeDate = (infinity: string, minusInfinity: string): EncodeText => (text) => {
  const match = anyDate.exec(text)
  if (match !== null) return String(epochDay(yearOf(match[1]!, match[4]), Number(match[2]), Number(match[3])))
  return text === "infinity" ? infinity : text === "-infinity" ? minusInfinity : quote(text)
}

/** Debezium's infinities: int32 overflows of Postgres' own number (of days since 2000) plus 10957. */
const date = encodeDate("-2147472692", "-2147472691")
/** In arrays they are overflows of the JDBC driver's instants instead; the negative one is computed, the positive one seen. */
const dateInArray = encodeDate("-622191234", "622191232")

/** `"2024-02-29Z"`. The infinities are the days that `date`'s numbers stand for. */
const isoDate: EncodeText = (text) => {
  const match = anyDate.exec(text)
  if (match !== null) return `"${isoYear(yearOf(match[1]!, match[4]))}-${match[2]}-${match[3]}Z"`
  return text === "infinity" ? "\"-5877611-06-21Z\"" : text === "-infinity" ? "\"-5877611-06-22Z\"" : quote(text)
}

const encodeTime = (unit: Unit, modulo: number): EncodeText => {
  if (unit === "iso") return isoTime
  return (text) => {
    const match = clock.exec(text)
    if (match === null) return quote(text)
    const micros = microsOfDay(match[1]!, match[2]!, match[3]!, match[4]) % modulo
    return unit === "millis" ? String(Math.floor(micros / 1000)) : micros !== 0 && unit === "nanos" ? `${micros}000` : String(micros)
  }
}

/** `"12:34:56.7Z"`; 24:00 is the next day's 00:00. */
const isoTime: EncodeText = (text) => {
  if (!clock.test(text)) return quote(text)
  return text.startsWith("24") ? "\"00:00:00Z\"" : `"${text}Z"`
}

const anyTimestamp = /^(\d{4,})-(\d\d)-(\d\d) (\d\d):(\d\d):(\d\d)(?:\.(\d{1,6}))?( BC)?$/

/** Debezium's infinities, which it takes from the JDBC driver: two days some 292,000 years away, and a Java long's ends. */
const infinities: Readonly<Record<Unit, readonly [infinity: string, minusInfinity: string]>> = {
  millis: ["9223372036825200", "-9223372036832400"],
  micros: ["9223372036825200000", "-9223372036832400000"],
  nanos: [String(longMax), String(longMin)],
  iso: ["\"+294247-01-10T04:00:25.2Z\"", "\"-290308-12-21T19:59:27.6Z\""]
}

const encodeTimestamp = (unit: Unit): EncodeText => {
  const [infinity, minusInfinity] = infinities[unit]
  const write = writeTimestamp[unit]
  return (text) => {
    const match = anyTimestamp.exec(text)
    if (match !== null) return write(match, text)
    return text === "infinity" ? infinity : text === "-infinity" ? minusInfinity : quote(text)
  }
}

const writeTimestamp: Readonly<Record<Unit, (match: RegExpExecArray, text: string) => string>> = {
  millis: (match) => String(dayOf(match) * 86_400_000 + Math.floor(ofDay(match) / 1000)),
  micros: (match, text) => {
    const day = dayOf(match)
    const fitsDouble = day > -100_000 && day < 100_000
    return fitsDouble ? String(day * 86_400_000_000 + ofDay(match)) : withinLong(microsOf(match), text)
  },
  nanos: (match, text) => withinLong(microsOf(match) * 1000n, text),
  iso: (match, text) => {
    const year = match[1]!
    const beforeChrist = match[8]
    const end = text.length - (beforeChrist ?? "").length
    return `"${isoYear(yearOf(year, beforeChrist))}${text.slice(year.length, end).replace(" ", "T")}Z"`
  }
}

const dayOf = (match: RegExpExecArray): number => epochDay(yearOf(match[1]!, match[8]), Number(match[2]), Number(match[3]))
const ofDay = (match: RegExpExecArray): number => microsOfDay(match[4]!, match[5]!, match[6]!, match[7])
const microsOf = (match: RegExpExecArray): bigint => BigInt(dayOf(match)) * microsPerDay + BigInt(ofDay(match))

const withinLong = (value: bigint, text: string): string => (value > longMax || value < longMin ? quote(text) : String(value))

export const temporal = ({ timePrecisionMode }: Modes): TypeFamily => ({
  date: () => timePrecisionMode === "isostring" ? isoDate : date,
  time: (type) => encodeTime(units[timePrecisionMode].time(type), Number.POSITIVE_INFINITY),
  timestamp: (type) => encodeTimestamp(units[timePrecisionMode].timestamp(type))
})

/** As elements of an array Debezium reads dates and times through other Java types: 24:00 becomes 0, infinite dates other numbers. */
export const temporalInArrays = ({ timePrecisionMode }: Modes): TypeFamily => ({
  date: () => timePrecisionMode === "isostring" ? isoDate : dateInArray,
  time: (type) => encodeTime(units[timePrecisionMode].time(type), 86_400_000_000)
})
