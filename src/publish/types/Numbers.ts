import type { EncodeAscii, EncodeText, TypeFamily } from "./TypeFamily.ts"
import { quote } from "./Text.ts"

/** Digits and signs are ASCII. */
const copy: EncodeAscii = (from, start, end, into, at) => {
  for (let index = start; index < end; index++) into[at++] = from[index]!
  return at
}

/** Postgres' own digits: no number type of ours in between, so 2^53 is no limit. */
const asIs: EncodeText = Object.assign((text: string) => text, { ascii: copy })

const booleanAscii: EncodeAscii = (from, start, _end, into, at) => {
  for (const byte of from[start] === trueLetter ? trueBytes : falseBytes) into[at++] = byte
  return at
}

const trueLetter = 0x74
const trueBytes = Buffer.from("true")
const falseBytes = Buffer.from("false")

/** `t` or `f`. */
const boolean: EncodeText = Object.assign((text: string) => (text === "t" ? "true" : "false"), { ascii: booleanAscii })

/**
 * A float as Java prints it (`Double.toString`): a fraction always, an exponent outside of [10⁻³, 10⁷).
 * Postgres' digits are the shortest that read back as the same value, as Java's are, so only the form changes.
 */
export const javaFloat: EncodeText = (text) => {
  const match = /^(-?)(\d+)(?:\.(\d+))?(?:e([+-]\d+))?$/.exec(text)
  if (match === null) return quote(text)
  const [, sign, whole, fraction = "", exponent = "0"] = match
  const written = whole! + fraction
  const digits = written.replace(/^0+/, "")
  if (digits === "") return `${sign}0.0`
  const power = whole!.length - 1 - (written.length - digits.length) + Number(exponent)
  const significant = digits.replace(/0+$/, "")
  return sign + (power >= -3 && power < 7 ? plain(significant, power) : scientific(significant, power))
}

/** `digits` is d₀d₁d₂…, the value d₀.d₁d₂… × 10^power. */
const plain = (digits: string, power: number): string => {
  if (power < 0) return `0.${"0".repeat(-power - 1)}${digits}`
  return `${digits.slice(0, power + 1).padEnd(power + 1, "0")}.${digits.slice(power + 1) || "0"}`
}

const scientific = (digits: string, power: number): string => `${digits[0]}.${digits.slice(1) || "0"}E${power}`

export const numbers: TypeFamily = {
  bool: () => boolean,
  int2: () => asIs,
  int4: () => asIs,
  int8: () => asIs,
  oid: () => asIs,
  float4: () => javaFloat,
  float8: () => javaFloat
}
