/** Days since 1970-01-01 in the proleptic Gregorian calendar, which is Postgres' own. Year 0 is 1 BC. */
export const epochDay = (year: number, month: number, day: number): number => {
  const shifted = month <= 2 ? year - 1 : year
  const era = Math.floor(shifted / 400)
  const yearOfEra = shifted - era * 400
  const dayOfYear = Math.floor((153 * (month + (month > 2 ? -3 : 9)) + 2) / 5) + day - 1
  const dayOfEra = yearOfEra * 365 + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100) + dayOfYear
  return era * 146_097 + dayOfEra - 719_468
}

/** Postgres' year (`44 BC`) as ISO 8601 counts: 0 is 1 BC. */
export const yearOf = (digits: string, beforeChrist: string | undefined): number =>
  beforeChrist === undefined ? Number(digits) : 1 - Number(digits)

/** ISO 8601's expanded form, as Java prints it: four digits at least, a sign before 0000 and after 9999. */
export const isoYear = (year: number): string => {
  const digits = String(Math.abs(year)).padStart(4, "0")
  return year < 0 ? `-${digits}` : year > 9999 ? `+${digits}` : digits
}

/** Postgres' `HH:MM:SS[.ffffff]`. */
export const clock = /^(\d\d):(\d\d):(\d\d)(?:\.(\d{1,6}))?$/

export const microsOfDay = (hours: string, minutes: string, seconds: string, fraction: string | undefined): number =>
  ((Number(hours) * 60 + Number(minutes)) * 60 + Number(seconds)) * 1_000_000 + Number((fraction ?? "").padEnd(6, "0"))

export const microsPerDay = 86_400_000_000n

/** Java's `long`, in which Debezium counts. */
export const longMax = 9_223_372_036_854_775_807n
export const longMin = -longMax - 1n
