/**
 * Which statements are sent under a name, and what it is. The server parses and plans a named one once per connection (Postgres manual, 55.2.3:
 * for small batches that is half of what a statement costs it), and soon for any parameters: it takes ten for the length of an array then.
 * That fits short ones alone, so that others go without a name, and are planned for what they are.
 */
export const prepared = (statement: string, parameters: ReadonlyArray<unknown>): { readonly name?: string } => {
  if (parameters.length === 0 || parameters.some(isLong)) return {}
  const known = names.get(statement)
  if (known !== undefined) return { name: known }
  const name = `cdc_${names.size + 1}`
  names.set(statement, name)
  return { name }
}

const names = new Map<string, string>()

const isLong = (parameter: unknown): boolean => Array.isArray(parameter) && parameter.length > longest

/** A join that is planned for ten rows by ten compares no more than 10,000 pairs. */
const longest = 100
