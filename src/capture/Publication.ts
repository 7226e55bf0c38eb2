import { Effect } from "effect"
import type { Sql } from "../connections/Postgres.ts"
import { quoteIdentifier } from "../domain/SqlIdentifier.ts"
import * as TableName from "../domain/TableName.ts"

/**
 * A publication as the server shows it. Known by its OID and by the transaction that last wrote its row: one that was dropped and
 * made again is another one, and one that was altered may have published less meanwhile (renamed, it published nothing).
 */
export interface Publication {
  readonly oid: number
  /** Adding and dropping tables leaves it as it is. */
  readonly xmin: string
  /** Of insert, update, delete, truncate: what it does not publish. */
  readonly missingOperations: ReadonlyArray<string>
  readonly allTables: boolean
  /** Stored generated columns are published (Postgres 18). */
  readonly generatedColumns: boolean
  /** By `TableName.format`. */
  readonly tables: ReadonlySet<string>
}

/** undefined: there is no such publication. */
export const read = Effect.fnUntraced(function*(sql: Sql, name: string) {
  // to_jsonb, because before 18 the column pubgencols is not there to be named.
  const [row] = yield* sql.query<StoredPublication>(`Looking for publication ${name}`, `
    select oid, xmin::text as xmin, puballtables, array_remove(array[case when not pubinsert then 'insert' end, case when not pubupdate then 'update' end,
        case when not pubdelete then 'delete' end, case when not pubtruncate then 'truncate' end], null) as missing,
      coalesce(to_jsonb(p) ->> 'pubgencols' = 's', false) as generated
    from pg_publication p where pubname = $1`, [name])
  if (row === undefined) return undefined
  const tables = yield* sql.query<{ schemaname: string; tablename: string }>(`Reading the tables of publication ${name}`,
    "select schemaname, tablename from pg_publication_tables where pubname = $1", [name])
  const publication: Publication = {
    oid: row.oid,
    xmin: row.xmin,
    missingOperations: row.missing,
    allTables: row.puballtables,
    generatedColumns: row.generated,
    tables: new Set(tables.map((row) => TableName.format({ schema: row.schemaname, table: row.tablename })))
  }
  return publication
})

/** For these tables, rows of partitions as their root's; with stored generated columns where the server can (18). */
export const create = Effect.fnUntraced(function*(sql: Sql, name: string, tables: ReadonlyArray<TableName.TableName>, serverVersion: number) {
  const options = ["publish_via_partition_root = true", ...(serverVersion >= 180_000 ? ["publish_generated_columns = stored"] : [])]
  yield* sql.query(`Creating publication ${name}`,
    `create publication ${quoteIdentifier(name)} for table ${tables.map(TableName.toSql).join(", ")} with (${options.join(", ")})`)
})

export const addTables = (sql: Sql, name: string, tables: ReadonlyArray<TableName.TableName>) =>
  sql.query(`Adding tables to publication ${name}`,
    `alter publication ${quoteIdentifier(name)} add table ${tables.map(TableName.toSql).join(", ")}`)

export const dropTable = (sql: Sql, name: string, table: TableName.TableName) =>
  sql.query(`Taking ${TableName.format(table)} out of publication ${name}`,
    `alter publication ${quoteIdentifier(name)} drop table ${TableName.toSql(table)}`)

export const drop = (sql: Sql, name: string) =>
  sql.query(`Dropping publication ${name}`, `drop publication if exists ${quoteIdentifier(name)}`)

interface StoredPublication {
  readonly oid: number
  readonly xmin: string
  readonly missing: ReadonlyArray<string>
  readonly puballtables: boolean
  readonly generated: boolean
}
