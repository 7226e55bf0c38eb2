import type { EncodeText } from "./TypeFamily.ts"
import { quote } from "./Text.ts"

/**
 * Postgres' array text (`{1,NULL,"a \"b\""}`, nested, or with bounds `[0:1]={a,b}`) as a JSON array; several dimensions
 * nest. Text that is not an array is passed on as a string.
 * Source: https://www.postgresql.org/docs/current/arrays.html#ARRAYS-IO
 */
export const encodeArray = (element: EncodeText): EncodeText => (text) => {
  const start = text.startsWith("[") ? text.indexOf("=") + 1 : 0
  const rest = { text, at: start }
  const json = text[start] === "{" ? readArray(rest, element) : undefined
  return json === undefined || rest.at !== text.length ? quote(text) : json
}

interface Cursor {
  readonly text: string
  at: number
}

/** Reads from a `{` to behind its `}`; undefined if that never comes. */
const readArray = (cursor: Cursor, element: EncodeText): string | undefined => {
  const { text } = cursor
  if (text[cursor.at + 1] === "}") {
    cursor.at += 2
    return "[]"
  }
  let json = "["
  while (cursor.at < text.length) {
    cursor.at++ // the { or the comma
    const value = readElement(cursor, element)
    if (value === undefined) return undefined
    json += value
    const next = text[cursor.at]
    if (next === "}") {
      cursor.at++
      return `${json}]`
    }
    if (next !== ",") return undefined
    json += ","
  }
  return undefined
}

const readElement = (cursor: Cursor, element: EncodeText): string | undefined => {
  const first = cursor.text[cursor.at]
  if (first === "{") return readArray(cursor, element)
  if (first === "\"") return readQuoted(cursor, element)
  const start = cursor.at
  while (cursor.at < cursor.text.length && !",}".includes(cursor.text[cursor.at]!)) cursor.at++
  const word = cursor.text.slice(start, cursor.at)
  return word === "NULL" ? "null" : element(word.replace(/\\(.)/gs, "$1"))
}

const readQuoted = (cursor: Cursor, element: EncodeText): string | undefined => {
  const { text } = cursor
  let value = ""
  for (let at = cursor.at + 1, from = at; at < text.length; at++) {
    const character = text[at]
    if (character === "\"") {
      cursor.at = at + 1
      return element(value + text.slice(from, at))
    }
    if (character === "\\") {
      value += text.slice(from, at)
      from = ++at // what follows stands for itself
    }
  }
  return undefined
}
