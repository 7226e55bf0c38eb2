import { Effect } from "effect"
import type { Sql } from "../connections/Postgres.ts"
import { PostgresError } from "../connections/PostgresError.ts"
import { quoteIdentifier } from "../domain/SqlIdentifier.ts"
import * as TableName from "../domain/TableName.ts"
import type { Pipeline, Target } from "./Pipeline.ts"
import { PipelineError } from "./PipelineError.ts"

/**
 * Makes the targets that are ours as they describe themselves, and adds columns that they have gained; part of `cdc setup`. What is
 * there is not touched, and needs no right to make it: who may not create tables has somebody else run what the error says.
 * Returns what it did, a line each.
 */
export const makeOwnTables = Effect.fnUntraced(function*(sql: Sql, pipelines: ReadonlyArray<Pipeline>) {
  const lines: Array<string> = []
  for (const target of pipelines.flatMap(ownTargets)) {
    const name = TableName.format(target.table)
    const missing = yield* missingColumns(sql, target)
    const isThere = missing.length < columnsOf(target).length
    const statements = isThere ? addColumns(target, missing) : create(target)
    for (const statement of statements) yield* Effect.mapError(sql.query(`Making ${name}`, statement), withStatements(statements))
    lines.push(`table ${name}: ${!isThere ? "made" : missing.length === 0 ? "there" : `there, given ${missing.join(", ")}`}`)
  }
  return lines
})

/** Before a pipeline starts: its own tables are there. */
export const requireOwnTables = Effect.fnUntraced(function*(sql: Sql, pipeline: Pipeline) {
  for (const target of ownTargets(pipeline)) {
    const missing = yield* missingColumns(sql, target)
    if (missing.length === 0) continue
    return yield* new PipelineError({
      reason: "notSetUp",
      pipeline: pipeline.name,
      message: `Pipeline ${pipeline.name}: its table ${TableName.format(target.table)} is not there, or has no ${missing.join(", ")}; run \`cdc setup\` first`
    })
  }
})

const ownTargets = ({ groups }: Pipeline): ReadonlyArray<Target> =>
  Object.values(groups).map(({ target }) => target).filter(({ isOurs }) => isOurs === true)

const columnsOf = (target: Target): ReadonlyArray<readonly [name: string, type: string]> => [
  ...Object.entries(target.key),
  ...Object.entries(target.columns),
  ...Object.entries(target.stamps ?? {}).map(([name, { type }]) => [name, type] as const)
]

const missingColumns = (sql: Sql, target: Target) =>
  Effect.map(
    sql.query<{ attname: string }>(
      `Looking at ${TableName.format(target.table)}`,
      "select attname from pg_attribute where attrelid = to_regclass($1) and attnum > 0 and not attisdropped",
      [TableName.toSql(target.table)]
    ),
    (found) => columnsOf(target).map(([name]) => name).filter((name) => !found.some(({ attname }) => attname === name))
  )

const definition = ([name, type]: readonly [name: string, type: string]): string => `${quoteIdentifier(name)} ${type}`

const create = (target: Target): ReadonlyArray<string> => [
  `create schema if not exists ${quoteIdentifier(target.table.schema)}`,
  `create table ${TableName.toSql(target.table)} (${columnsOf(target).map(definition).join(", ")}, primary key (${Object.keys(target.key).map(quoteIdentifier).join(", ")}))`
]

const addColumns = (target: Target, missing: ReadonlyArray<string>): ReadonlyArray<string> =>
  columnsOf(target).filter(([name]) => missing.includes(name)).map((column) => `alter table ${TableName.toSql(target.table)} add column ${definition(column)}`)

const withStatements = (statements: ReadonlyArray<string>) => (error: PostgresError): PostgresError =>
  error.reason !== "forbidden" ? error : new PostgresError({
    reason: error.reason,
    code: error.code,
    message: `${error.message}, or have who may run: ${statements.join("; ")}; and grant this role usage on the schema, select, insert and update on the table`
  })
