/**
 * A row's key as one text: one column's value as it is, several as a JSON array of them in the key's order, without spaces
 * (in SQL `format('[%s,%s]', to_json(a), to_json(b))`).
 */
export const of = (values: ReadonlyArray<unknown>): string => values.length === 1 ? String(values[0]) : JSON.stringify(values)

/** The values of a key of so many columns, each as text; undefined: it is not a key of so many. */
export const partsOf = (key: string, columns: number): ReadonlyArray<string> | undefined => {
  if (columns === 1) return [key]
  const values = parse(key)
  return Array.isArray(values) && values.length === columns ? values.map(String) : undefined
}

const parse = (key: string): unknown => {
  try {
    return JSON.parse(key)
  } catch {
    return undefined
  }
}
