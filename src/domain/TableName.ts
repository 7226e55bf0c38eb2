import { quoteIdentifier } from "./SqlIdentifier.ts"

/** A table's schema and name, as in the catalogue (no quotes). */
export interface TableName {
  readonly schema: string
  readonly table: string
}

export const TableName = (schema: string, table: string): TableName => ({ schema, table })

const part = String.raw`(?:([a-z_][a-z0-9_$]*)|"((?:[^"]|"")+)")`
const spelling = new RegExp(`^${part}\\.${part}$`)

/**
 * Reads `schema.table` in Postgres' own spelling: plain where Postgres needs no quotes, quoted elsewhere
 * (`zoo."Sp ace"`). Throws a `SyntaxError` that says so for anything else.
 */
export const parse = (text: string): TableName => {
  const match = spelling.exec(text)
  if (match === null) {
    throw new SyntaxError(
      `Not a table name: ${JSON.stringify(text)}; expected schema.table, quoted where Postgres would quote it, e.g. outreach."Bit Scores"`
    )
  }
  const [, schema, quotedSchema, table, quotedTable] = match
  return {
    schema: schema ?? quotedSchema!.replaceAll("\"\"", "\""),
    table: table ?? quotedTable!.replaceAll("\"\"", "\"")
  }
}

/** Reads a comma-separated list of names; a comma inside of quotes does not separate. */
export const parseList = (text: string): ReadonlyArray<TableName> =>
  (text.match(/(?:[^,"]|"(?:[^"]|"")*"?)+/g) ?? []).map((name) => name.trim()).filter((name) => name !== "").map(parse)

/** `schema.table` for people and for maps; quoted only where needed, so it is unambiguous. */
export const format = ({ schema, table }: TableName): string => `${plainOrQuoted(schema)}.${plainOrQuoted(table)}`

/** `"schema"."table"` for SQL. */
export const toSql = ({ schema, table }: TableName): string => `${quoteIdentifier(schema)}.${quoteIdentifier(table)}`

const plainOrQuoted = (name: string): string => (/^[a-z_][a-z0-9_$]*$/.test(name) ? name : quoteIdentifier(name))
