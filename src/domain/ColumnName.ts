import { formatPath, parsePath } from "./SqlIdentifier.ts"
import type { TableName } from "./TableName.ts"

/** A column's name with its table's, as in the catalogue (no quotes). */
export interface ColumnName extends TableName {
  readonly column: string
}

/** Reads `schema.table.column` in Postgres' own spelling. Throws a `SyntaxError` that says so for anything else. */
export const parse = (text: string): ColumnName => {
  const names = parsePath(text)
  if (names?.length !== 3) {
    throw new SyntaxError(
      `Not a column's name: ${JSON.stringify(text)}; expected schema.table.column, quoted where Postgres would quote it, e.g. cl."People".email`
    )
  }
  return { schema: names[0]!, table: names[1]!, column: names[2]! }
}

/** Reads `schema.table.column:N`, a name and how many characters of its values are kept. */
export const parseWithLength = (text: string): ColumnName & { readonly characters: number } => {
  const [, name, digits] = /^(.*):([1-9][0-9]{0,8})$/s.exec(text) ?? []
  if (name === undefined) {
    throw new SyntaxError(`No length: ${JSON.stringify(text)}; expected schema.table.column:N, N the number of characters that are kept, at least 1`)
  }
  return { ...parse(name), characters: Number(digits) }
}

/** For people and for maps; quoted only where needed, so it is unambiguous. */
export const format = ({ column, schema, table }: ColumnName): string => formatPath([schema, table, column])
