/**
 * A flat array → Postgres' text of it (manual, 8.15.6), as a parameter. `pg` does the same, but with two regular expressions per element,
 * which cost more than all else about a batch of JSON texts. undefined: an element is of a type that is left to `pg`.
 */
export const arrayLiteral = (values: ReadonlyArray<unknown>): string | undefined => {
  let text = "{"
  for (let at = 0; at < values.length; at++) {
    if (at > 0) text += ","
    const value = values[at]
    if (value === null || value === undefined) text += "NULL"
    else if (typeof value === "string") text += quoted(value)
    else if (typeof value === "object") return undefined
    else text += String(value)
  }
  return `${text}}`
}

/** JSON quotes as an array does, and natively, as long as there is nothing that only JSON would escape. */
const quoted = (text: string): string => {
  if (!text.includes(`"`) && !text.includes("\\")) return `"${text}"`
  return onlyInJson.test(text) ? `"${text.replace(/["\\]/g, "\\$&")}"` : JSON.stringify(text)
}

/** Control characters and halves of surrogate pairs. */
const onlyInJson = /[^\u0020-\ud7ff\ue000-\uffff]/
