/**
 * A small seeded generator, so that sample data and activity are the same for the same seed on every machine.
 * sfc32 by Chris Doty-Humphrey (public domain, PractRand); not for secrets.
 */
export interface Random {
  /** A 32-bit unsigned integer. */
  readonly uint32: () => number
  /** In [0, 1). */
  readonly fraction: () => number
  /** From `low` to `high`, both included. */
  readonly between: (low: number, high: number) => number
  readonly chance: (probability: number) => boolean
  readonly pick: <A>(choices: ReadonlyArray<A>) => A
  /** A version 4 UUID in form; its bits come from the seed. */
  readonly uuid: () => string
}

/** `parts` name what is generated, such as a seed, a table and a row number: equal parts, equal values. */
export const seeded = (...parts: ReadonlyArray<string | number>): Random => {
  let [a, b, c] = hash(parts.join("/"))
  let counter = 1
  const uint32 = (): number => {
    const result = (a + b + counter++) | 0
    a = b ^ (b >>> 9)
    b = (c + (c << 3)) | 0
    c = ((c << 21 | c >>> 11) + result) | 0
    return result >>> 0
  }
  for (let i = 0; i < 12; i++) uint32() // mixes the seed into all of the state

  const fraction = () => uint32() / 0x1_0000_0000
  const between = (low: number, high: number) => low + Math.floor(fraction() * (high - low + 1))
  return {
    uint32,
    fraction,
    between,
    chance: (probability) => fraction() < probability,
    pick: (choices) => choices[between(0, choices.length - 1)]!,
    uuid: () => uuidOf(uint32(), uint32(), uint32(), uint32())
  }
}

/** 96 bits of FNV-1a, three times with different starts. */
const hash = (text: string): [number, number, number] => {
  const states: [number, number, number] = [0x811c9dc5, 0x9e3779b9, 0x7f4a7c15]
  for (let i = 0; i < text.length; i++) {
    for (let n = 0; n < 3; n++) states[n] = Math.imul(states[n]! ^ text.charCodeAt(i), 0x01000193)
  }
  return states
}

const uuidOf = (a: number, b: number, c: number, d: number): string => {
  const hex = [a, b & 0xffff0fff | 0x4000, c & 0x3fffffff | 0x80000000, d]
    .map((word) => (word >>> 0).toString(16).padStart(8, "0")).join("")
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`
}
