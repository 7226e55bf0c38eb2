import type { EncodeText, TypeFamily } from "./TypeFamily.ts"
import { longMax, longMin, microsOfDay, microsPerDay } from "./Calendar.ts"
import type { Modes } from "./Modes.ts"
import { quote } from "./Text.ts"

/** `IntervalStyle postgres`: `1 year 2 mons -3 days +04:05:06.789`, what is zero left out, but `00:00:00` for nothing at all. */
const style = /^(?:(-?\d+) years? ?)?(?:([+-]?\d+) mons? ?)?(?:([+-]?\d+) days? ?)?(?:([+-])?(\d+):(\d\d):(\d\d)(?:\.(\d{1,6}))?)?$/

/** A month is 365.25 ÷ 12 days. */
const microsPerMonth = 2_629_800_000_000n

/** Microseconds, held within a Java long; infinite ones are 0, as in Debezium. */
const numeric: EncodeText = (text) => {
  const match = style.exec(text)
  if (match === null) return isInfinite(text) ? "0" : quote(text)
  const [, years = "0", months = "0", days = "0", sign, hours = "0", minutes = "0", seconds = "0", fraction] = match
  const clockMicros = BigInt(hours) * 3_600_000_000n + BigInt(microsOfDay("0", minutes, seconds, fraction))
  const micros = (BigInt(years) * 12n + BigInt(months)) * microsPerMonth + BigInt(days) * microsPerDay +
    (sign === "-" ? -clockMicros : clockMicros)
  return String(micros > longMax ? longMax : micros < longMin ? longMin : micros)
}

/** `P1Y2M-3DT4H5M6.789S`, exact, every part named and with its own sign; infinite ones are empty, as in Debezium. */
const iso: EncodeText = (text) => {
  const match = style.exec(text)
  if (match === null) return isInfinite(text) ? "\"P0Y0M0DT0H0M0S\"" : quote(text)
  const [, years = "0", months = "0", days = "0", sign = "", hours = "0", minutes = "0", seconds = "0", fraction] = match
  const signed = (digits: string): string => {
    const value = Number(digits)
    return value === 0 ? "0" : String(sign === "-" ? -value : value)
  }
  const ofMinute = fraction === undefined ? signed(seconds) : `${sign === "-" ? "-" : ""}${Number(seconds)}.${fraction.replace(/0+$/, "")}`
  return `"P${Number(years)}Y${Number(months)}M${Number(days)}DT${signed(hours)}H${signed(minutes)}M${ofMinute}S"`
}

const isInfinite = (text: string): boolean => text === "infinity" || text === "-infinity"

export const intervals = ({ intervalHandlingMode }: Modes): TypeFamily => ({
  interval: () => intervalHandlingMode === "string" ? iso : numeric
})
