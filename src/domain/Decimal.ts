/**
 * Exact decimals as scaled bigints, for values that floating point would blur: Postgres' `numeric` in, `numeric` text out.
 */

/** A decimal's text → its value × 10^scale, more digits rounded half away from zero. undefined: not a finite decimal. */
export const parseScaled = (text: string, scale: number): bigint | undefined => {
  const match = /^(-?)(\d{1,131072})(?:\.(\d{0,16383}))?$/.exec(text)
  if (match === null) return undefined
  const [, sign, whole, fraction = ""] = match
  const kept = BigInt(whole! + fraction.slice(0, scale).padEnd(scale, "0"))
  const magnitude = (fraction[scale] ?? "0") >= "5" ? kept + 1n : kept
  return sign === "-" ? -magnitude : magnitude
}

/** Value × 10^scale → its text, always with `scale` digits behind the point. */
export const formatScaled = (scaled: bigint, scale: number): string => {
  const digits = (scaled < 0n ? -scaled : scaled).toString().padStart(scale + 1, "0")
  const point = digits.length - scale
  return `${scaled < 0n ? "-" : ""}${digits.slice(0, point)}${scale === 0 ? "" : `.${digits.slice(point)}`}`
}

/** numerator / denominator (> 0), rounded to the nearest integer, half away from zero, as Postgres' `round(numeric)`. */
export const divideRounded = (numerator: bigint, denominator: bigint): bigint => {
  const doubled = (numerator < 0n ? -numerator : numerator) * 2n + denominator
  const magnitude = doubled / (denominator * 2n)
  return numerator < 0n ? -magnitude : magnitude
}
