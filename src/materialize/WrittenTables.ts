import { Effect } from "effect"
import type { Sql } from "../connections/Postgres.ts"
import type { PostgresError } from "../connections/PostgresError.ts"
import * as TableName from "../domain/TableName.ts"
import type { Pipeline, Target } from "./Pipeline.ts"

/** A table that a pipeline writes, as the database has it. */
export interface WrittenTable {
  readonly pipeline: string
  readonly target: Target
  readonly isThere: boolean
  /** Of what the target names, those that the table lacks; all, if it is not there. */
  readonly missingColumns: ReadonlyArray<string>
  /** What the role needs for it and lacks: `usage on schema …`, `insert`, …; none if the table is not there. */
  readonly missingRights: ReadonlyArray<string>
  /** The role may make the table, or, if it is there, give it columns. */
  readonly mayMake: boolean
}

type Right = "select" | "insert" | "update" | "delete"

/** Of these pipelines, also where schema or table is not there, or the role may not look into it. One question per table. */
export const readWrittenTables = Effect.fnUntraced(function*(sql: Sql, pipelines: ReadonlyArray<Pipeline>) {
  const tables: Array<WrittenTable> = []
  for (const pipeline of pipelines) {
    for (const { rights, target } of written(pipeline)) tables.push(yield* readTable(sql, pipeline.name, target, rights))
  }
  return tables
})

export const columnsOf = (target: Target): ReadonlyArray<readonly [name: string, type: string]> => [
  ...Object.entries(target.key),
  ...Object.entries(target.columns),
  ...Object.entries(target.stamps ?? {}).map(([name, { type }]) => [name, type] as const)
]

/** Mirrors are also deleted from. */
const written = ({ groups, mirror }: Pipeline): ReadonlyArray<{ readonly target: Target; readonly rights: ReadonlyArray<Right> }> => [
  ...Object.values(groups).map(({ target }) => ({ target, rights: ["select", ...target.insert ? ["insert" as const] : [], "update"] as const })),
  ...mirror === undefined ? [] : [{ target: mirror.target, rights: ["select", "insert", "update", "delete"] as const }]
]

/** A right on all of the columns is as good as one on the table; there is none to delete columns. */
const readTable = Effect.fnUntraced(function*(
  sql: Sql,
  pipeline: string,
  target: Target,
  rights: ReadonlyArray<Right>
): Effect.fn.Return<WrittenTable, PostgresError> {
  const names = columnsOf(target).map(([name]) => name)
  const [row] = yield* sql.query<{ there: boolean; columns: ReadonlyArray<string>; rights: ReadonlyArray<string>; may_make: boolean }>(
    `Looking at ${TableName.format(target.table)}`,
    `select c.oid is not null as there,
       array(select attname::text from pg_attribute a where a.attrelid = c.oid and attnum > 0 and not attisdropped and attname = any($3)) as columns,
       array(select 'usage on schema ' || quote_ident(nspname) where c.oid is not null and not has_schema_privilege(n.oid, 'usage') union all
         select r from unnest($4::text[]) r where c.oid is not null and not has_table_privilege(c.oid, r) and (r = 'delete' or exists (
           select from pg_attribute a where a.attrelid = c.oid and attnum > 0 and not attisdropped and attname = any($3)
             and not has_column_privilege(c.oid, attnum, case r when 'delete' then 'select' else r end)))) as rights,
       coalesce(pg_has_role(c.relowner, 'usage'), has_schema_privilege(n.oid, 'create'), has_database_privilege(current_database(), 'create')) as may_make
     from (select) as always left join pg_namespace n on nspname = $1 left join pg_class c on c.relnamespace = n.oid and relname = $2`,
    [target.table.schema, target.table.table, names, rights]
  )
  const { columns, may_make, rights: missingRights, there } = row!
  return { pipeline, target, isThere: there, missingColumns: names.filter((name) => !columns.includes(name)), missingRights, mayMake: may_make }
})
