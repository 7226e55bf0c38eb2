import type { ColumnType } from "../../domain/RowChange.ts"
import { type EncodeAscii, type EncodeText, notSoSimple, type TypeFamily } from "./TypeFamily.ts"
import type { Modes } from "./Modes.ts"
import { javaFloat } from "./Numbers.ts"
import { quote } from "./Text.ts"

/** What has digits; a NaN and the infinities have a letter first. */
const hasDigits = (text: string): boolean => text.charCodeAt(text.charCodeAt(0) === 0x2d /* - */ ? 1 : 0) <= 0x39 /* 9 */

/**
 * Debezium's names (`SpecialValueDecimal`) for what JSON has no number for. Also under `precise`, where its task stops: they
 * have a character that base64 has not, or too few, so that no reader can take them for digits.
 */
const special = (text: string): string =>
  text === "NaN" ? "\"NAN\"" : text === "-Infinity" ? "\"NEGATIVE_INFINITY\"" : "\"POSITIVE_INFINITY\""

/** What has no letter in it. */
const stringAscii: EncodeAscii = (from, start, end, into, at) => {
  into[at++] = quotationMark
  for (let index = start; index < end; index++) {
    const byte = from[index]!
    if (byte > nine) return notSoSimple
    into[at++] = byte
  }
  into[at++] = quotationMark
  return at
}

const quotationMark = 0x22
const nine = 0x39

const string: EncodeText = Object.assign((text: string) => (hasDigits(text) ? `"${text}"` : special(text)), { ascii: stringAscii })

/** The nearest double; what is beyond the largest one is infinite, as in Java. */
const double: EncodeText = (text) => javaFloat(String(Number(text)))

interface Decimal {
  /** `unscaled` ÷ 10^`scale` */
  readonly unscaled: bigint
  readonly scale: number
}

const parse = (text: string): Decimal => {
  const point = text.indexOf(".")
  return point === -1
    ? { unscaled: BigInt(text), scale: 0 }
    : { unscaled: BigInt(text.slice(0, point) + text.slice(point + 1)), scale: text.length - point - 1 }
}

/** Half a unit goes away from zero, as Java's `HALF_UP` does. */
const rescale = ({ scale, unscaled }: Decimal, to: number): bigint => {
  if (to >= scale) return unscaled * 10n ** BigInt(to - scale)
  const divisor = 10n ** BigInt(scale - to)
  const half = unscaled < 0n ? -divisor / 2n : divisor / 2n
  return (unscaled + half) / divisor
}

/** Java's `BigInteger.toByteArray`: two's complement, big-endian, as short as the sign allows. As base64 in quotes. */
const bytesOf = (value: bigint): string => {
  const magnitude = (value < 0n ? ~value : value).toString(16)
  const needsSignByte = magnitude.length % 2 === 0 && magnitude >= "8"
  const length = Math.ceil(magnitude.length / 2) + (needsSignByte ? 1 : 0)
  const hex = BigInt.asUintN(length * 8, value).toString(16).padStart(length * 2, "0")
  return `"${Buffer.from(hex, "hex").toString("base64")}"`
}

/** The scale is in the column's type alone. */
const precise = (scale: number): EncodeText => (text) => (hasDigits(text) ? bytesOf(rescale(parse(text), scale)) : special(text))

/** Of a column without a scale (Debezium's `VariableScaleDecimal`); trailing zeros of the fraction are left out. */
const preciseVariable: EncodeText = (text) => {
  if (!hasDigits(text)) return special(text)
  const { scale, unscaled } = parse(text.includes(".") ? text.replace(/\.?0+$/, "") : text)
  return `{"scale":${scale},"value":${bytesOf(unscaled)}}`
}

/** `numeric(p,s)`: s is in the low 11 bits, signed. Source: `numeric_typmod_scale` in Postgres' `numeric.c`. */
const scaleOf = ({ modifier }: ColumnType): number => (((modifier - 4) & 0x7ff) ^ 0x400) - 0x400

const numeric = (mode: Modes["decimalHandlingMode"]) => (type: ColumnType): EncodeText => {
  if (mode === "string") return string
  if (mode === "double") return double
  return type.modifier < 0 ? preciseVariable : precise(scaleOf(type))
}

/**
 * `$1,234.50` → `1234.50`: our sessions ask for `lc_monetary = C`, so there are two decimals. In a database whose own locale has
 * none (yen) they are the amount's last two digits.
 */
const plainMoney = (text: string): string => {
  const digits = text.replace(/\D/g, "").padStart(3, "0")
  return `${/[-(]/.test(text) ? "-" : ""}${digits.slice(0, -2)}.${digits.slice(-2)}`
}

const money = (mode: Modes["decimalHandlingMode"], fractionDigits: number): EncodeText => {
  if (mode === "precise") return (text) => bytesOf(rescale(parse(plainMoney(text)), fractionDigits))
  return mode === "double" ? (text) => double(plainMoney(text)) : (text) => `"${plainMoney(text)}"`
}

export const decimals = ({ decimalHandlingMode, moneyFractionDigits }: Modes): TypeFamily => ({
  numeric: numeric(decimalHandlingMode),
  money: () => money(decimalHandlingMode, moneyFractionDigits)
})

/** As elements of an array: a NaN stops Debezium there; ours is Postgres' text, unless it could be taken for base64. */
export const decimalsInArrays = (modes: Modes): TypeFamily =>
  modes.decimalHandlingMode === "string" ? { numeric: () => quote } : {}
