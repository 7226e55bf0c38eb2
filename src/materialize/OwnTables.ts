import { Effect } from "effect"
import type { Sql } from "../connections/Postgres.ts"
import { PostgresError } from "../connections/PostgresError.ts"
import { quoteIdentifier } from "../domain/SqlIdentifier.ts"
import * as TableName from "../domain/TableName.ts"
import type { Pipeline } from "./Pipeline.ts"
import { PipelineError } from "./PipelineError.ts"
import { columnsOf, readWrittenTables, type WrittenTable } from "./WrittenTables.ts"

/**
 * Makes the targets that are ours as they describe themselves, and adds columns that they have gained; part of `cdc setup`. What is
 * there is not touched, and needs no right to make it: who may not create tables has somebody else run what the error says.
 * Returns what it did, a line each.
 */
export const makeOwnTables = Effect.fnUntraced(function*(sql: Sql, pipelines: ReadonlyArray<Pipeline>) {
  const lines: Array<string> = []
  for (const table of (yield* readWrittenTables(sql, pipelines)).filter(isOurs)) {
    const { isThere, missingColumns } = table
    const name = TableName.format(table.target.table)
    const statements = statementsFor(table)
    for (const statement of statements) yield* Effect.mapError(sql.query(`Making ${name}`, statement), withStatements(statements))
    lines.push(`table ${name}: ${!isThere ? "made" : missingColumns.length === 0 ? "there" : `there, given ${missingColumns.join(", ")}`}`)
  }
  return lines
})

/** Before a pipeline starts: its own tables are there. */
export const requireOwnTables = Effect.fnUntraced(function*(sql: Sql, pipeline: Pipeline) {
  for (const { isThere, missingColumns, target } of (yield* readWrittenTables(sql, [pipeline])).filter(isOurs)) {
    if (missingColumns.length === 0) continue
    return yield* new PipelineError({
      reason: "notSetUp",
      pipeline: pipeline.name,
      message: `Pipeline ${pipeline.name}: its table ${TableName.format(target.table)} ${isThere ? `has no ${missingColumns.join(", ")}` : "is not there"}; run \`cdc setup\` first`
    })
  }
})

export const isOurs = ({ target }: WrittenTable): boolean => target.isOurs === true

/** What makes of what is there what is wanted; nothing if all is there. */
export const statementsFor = ({ isThere, missingColumns, target }: WrittenTable): ReadonlyArray<string> => {
  const table = TableName.toSql(target.table)
  if (isThere) return columnsOf(target).filter(([name]) => missingColumns.includes(name)).map((column) => `alter table ${table} add column ${definition(column)}`)
  return [
    `create schema if not exists ${quoteIdentifier(target.table.schema)}`,
    `create table ${table} (${columnsOf(target).map(definition).join(", ")}, primary key (${Object.keys(target.key).map(quoteIdentifier).join(", ")}))`
  ]
}

const definition = ([name, type]: readonly [name: string, type: string]): string => `${quoteIdentifier(name)} ${type}`

/** What somebody else may run in the place of this role. */
export const byAnother = (statements: ReadonlyArray<string>): string =>
  `have who may run: ${statements.join("; ")}; and grant this role usage on the schema, select, insert and update on the table`

const withStatements = (statements: ReadonlyArray<string>) => (error: PostgresError): PostgresError =>
  error.reason !== "forbidden" ? error : new PostgresError({ reason: error.reason, code: error.code, message: `${error.message}, or ${byAnother(statements)}` })
