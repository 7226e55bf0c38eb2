/** A number as it was written: JavaScript's would lose digits beyond 2^53, and Java's spelling. */
export class NumberText {
  readonly text: string

  constructor(text: string) {
    this.text = text
  }

  /** Whole numbers of any size are what they say; others are doubles, however they are spelled: 1.0E10 is 10000000000.0. */
  equals(other: NumberText): boolean {
    return isWhole(this.text) && isWhole(other.text) ? BigInt(this.text) === BigInt(other.text) : Object.is(Number(this.text), Number(other.text))
  }
}

export type Json = null | boolean | string | NumberText | ReadonlyArray<Json> | JsonObject
export interface JsonObject {
  readonly [name: string]: Json
}

export const parse = (text: string): Json => JSON.parse(text, keepNumber) as Json

export const isObject = (json: Json | undefined): json is JsonObject =>
  typeof json === "object" && json !== null && !Array.isArray(json) && !(json instanceof NumberText)

export const isWhole = (number: string): boolean => /^-?\d+$/.test(number)

/** A reviver's third parameter (ECMAScript 2026) has the text that a primitive value was read from. */
const keepNumber = (_: string, value: unknown, context?: { readonly source?: string }): unknown =>
  typeof value === "number" ? new NumberText(context!.source!) : value

/** For people, in one line, cut. */
export const show = (json: Json | undefined): string => {
  if (json === undefined) return "absent"
  const text = JSON.stringify(json, (_, value: unknown) => value instanceof NumberText ? `#${value.text}` : value).replaceAll(/"#([^"]*)"/g, "$1")
  return text.length > 100 ? `${text.slice(0, 100)}… (${text.length} characters)` : text
}
