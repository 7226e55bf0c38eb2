import { formatPath, parsePath, quoteIdentifier, splitList } from "./SqlIdentifier.ts"

/** A table's schema and name, as in the catalogue (no quotes). */
export interface TableName {
  readonly schema: string
  readonly table: string
}

export const TableName = (schema: string, table: string): TableName => ({ schema, table })

/**
 * Reads `schema.table` in Postgres' own spelling: plain where Postgres needs no quotes, quoted elsewhere
 * (`zoo."Sp ace"`). Throws a `SyntaxError` that says so for anything else.
 */
export const parse = (text: string): TableName => {
  const names = parsePath(text)
  if (names?.length !== 2) {
    throw new SyntaxError(
      `Not a table name: ${JSON.stringify(text)}; expected schema.table, quoted where Postgres would quote it, e.g. outreach."Bit Scores"`
    )
  }
  return { schema: names[0]!, table: names[1]! }
}

/** Reads a comma-separated list of names; a comma inside of quotes does not separate. */
export const parseList = (text: string): ReadonlyArray<TableName> =>
  splitList(text).map(parse)

/** `schema.table` for people and for maps; quoted only where needed, so it is unambiguous. */
export const format = ({ schema, table }: TableName): string => formatPath([schema, table])

/** `"schema"."table"` for SQL. */
export const toSql = ({ schema, table }: TableName): string => `${quoteIdentifier(schema)}.${quoteIdentifier(table)}`
