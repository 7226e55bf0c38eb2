import type { ColumnType } from "../../domain/RowChange.ts"
import { type EncodeAscii, type EncodeText, notSoSimple, type TypeFamily } from "./TypeFamily.ts"
import { isoYear, yearOf } from "./Calendar.ts"
import { quote } from "./Text.ts"

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

/** `2026-07-01 06:30:00.1+00` → `"2026-07-01T06:30:00.100000Z"`, the fraction as long as the column's precision (6 without one). */
const encodeTimestamptz = (type: ColumnType): EncodeText => {
  const precision = type.modifier >= 0 ? type.modifier : 6
  return Object.assign((text: string) => {
    const match = /^(\d{4,})(-\d\d-\d\d) (\d\d:\d\d:\d\d)(?:\.(\d{1,6}))?\+00( BC)?$/.exec(text)
    if (match === null) return quote(text)
    const [, digits, monthAndDay, time, fraction = "", beforeChrist] = match
    const padded = precision === 0 ? "" : `.${fraction.padEnd(precision, "0")}`
    return `"${isoYear(yearOf(digits!, beforeChrist))}${monthAndDay}T${time}${padded}Z"`
  }, { ascii: timestamptzAscii(precision) })
}

/** Of years with four digits: the blank becomes a T, the fraction gets as long as the precision, the zone is a Z. */
const timestamptzAscii = (precision: number): EncodeAscii => (from, start, end, into, at) => {
  const zone = end - 3
  if (from[zone] !== plus || from[zone + 1] !== zero || from[zone + 2] !== zero) return notSoSimple
  into[at++] = quotationMark
  for (let index = 0; index < wholeSeconds.length; index++) {
    const byte = from[start + index]!
    const expected = wholeSeconds[index]!
    if (expected === zero ? !isDigit(byte) : byte !== expected) return notSoSimple
    into[at++] = byte === blank ? capitalT : byte
  }
  const point = start + wholeSeconds.length
  const digits = point === zone ? 0 : zone - point - 1
  if (digits > precision || (point !== zone && (digits === 0 || from[point] !== fullStop))) return notSoSimple
  if (precision > 0) into[at++] = fullStop
  for (let index = 0; index < precision; index++) {
    const byte = index < digits ? from[point + 1 + index]! : zero
    if (!isDigit(byte)) return notSoSimple
    into[at++] = byte
  }
  into[at++] = capitalZ
  into[at++] = quotationMark
  return at
}

const codeOf = (character: string): number => character.charCodeAt(0)
const quotationMark = codeOf("\"")
const blank = codeOf(" ")
const plus = codeOf("+")
const fullStop = codeOf(".")
const zero = codeOf("0")
const nine = codeOf("9")
const capitalT = codeOf("T")
const capitalZ = codeOf("Z")
const isDigit = (byte: number): boolean => byte >= zero && byte <= nine

/** A zero stands for any digit. */
const wholeSeconds: ReadonlyArray<number> = [..."0000-00-00 00:00:00"].map(codeOf)

/** What has a zone is written in UTC, as text, whatever the modes are. */
export const zoned: TypeFamily = {
  timetz: () => timetz,
  timestamptz: encodeTimestamptz
}
