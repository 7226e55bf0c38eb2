/**
 * The fields of a record's key, by name, each as the JSON text that it has there: a number keeps its digits.
 * undefined: it is no JSON object.
 */
export const keyFields = (key: Buffer): ReadonlyMap<string, string> | undefined => {
  try {
    const fields = json.parse(key.toString(), (_, value, { source }) => typeof value === "number" ? json.rawJSON(source!) : value)
    if (typeof fields !== "object" || fields === null || Array.isArray(fields)) return undefined
    return new Map(Object.entries(fields).map(([name, value]) => [name, JSON.stringify(value)]))
  } catch {
    return undefined
  }
}

/** What Node has of https://tc39.es/proposal-json-parse-with-source, and TypeScript not yet. */
const json = JSON as unknown as {
  readonly parse: (text: string, reviver: (name: string, value: unknown, context: { readonly source?: string }) => unknown) => unknown
  readonly rawJSON: (text: string) => unknown
}
