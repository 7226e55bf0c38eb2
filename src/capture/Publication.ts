import { Effect } from "effect"
import type { Sql } from "../connections/Postgres.ts"
import { quoteIdentifier } from "../domain/SqlIdentifier.ts"
import * as TableName from "../domain/TableName.ts"

/**
 * A publication as the server shows it. Known by its OID and by the transaction that last wrote its row: one that was dropped and
 * made again is another one, and one that was altered may have published less meanwhile (renamed, it published nothing). Another owner
 * changes nothing of what it publishes.
 */
export interface Publication {
  readonly oid: number
  /** Adding and dropping tables leaves it as it is. */
  readonly xmin: string
  /** OID of the role that owns it. */
  readonly owner: number
  /** Of insert, update, delete, truncate: what it does not publish. */
  readonly missingOperations: ReadonlyArray<string>
  readonly allTables: boolean
  /** Stored generated columns are published (Postgres 18). */
  readonly generatedColumns: boolean
  /** Rows of partitions are published as their root's. */
  readonly viaRoot: boolean
  /** By `TableName.format`. */
  readonly tables: ReadonlySet<string>
  /** Of these only some rows or columns. */
  readonly partialTables: ReadonlySet<string>
}

/** undefined: there is no such publication. */
export const read = Effect.fnUntraced(function*(sql: Sql, name: string) {
  // to_jsonb, because before 18 the column pubgencols is not there to be named.
  const [row] = yield* sql.query<StoredPublication>(`Looking for publication ${name}`, `
    select oid, xmin::text as xmin, pubowner as owner, puballtables, pubviaroot, array_remove(array[case when not pubinsert then 'insert' end, case when not pubupdate then 'update' end,
        case when not pubdelete then 'delete' end, case when not pubtruncate then 'truncate' end], null) as missing,
      coalesce(to_jsonb(p) ->> 'pubgencols' = 's', false) as generated
    from pg_publication p where pubname = $1`, [name])
  if (row === undefined) return undefined
  const tables = yield* sql.query<StoredTable>(`Reading the tables of publication ${name}`, `
    select schemaname as schema, tablename as table, exists (
      select from pg_publication_rel r join pg_class c on c.oid = r.prrelid join pg_namespace n on n.oid = c.relnamespace
      where r.prpubid = $2 and (r.prqual is not null or r.prattrs is not null) and n.nspname = schemaname and c.relname = tablename) as partial
    from pg_publication_tables where pubname = $1`, [name, row.oid])
  const publication: Publication = {
    oid: row.oid,
    xmin: row.xmin,
    owner: row.owner,
    missingOperations: row.missing,
    allTables: row.puballtables,
    generatedColumns: row.generated,
    viaRoot: row.pubviaroot,
    tables: new Set(tables.map((table) => TableName.format(table))),
    partialTables: new Set(tables.filter(({ partial }) => partial).map((table) => TableName.format(table)))
  }
  return publication
})

/** Everything, rows of partitions as their root's; with stored generated columns where the server can (18). */
const optionsOn = (serverVersion: number): string =>
  "publish = 'insert, update, delete, truncate', publish_via_partition_root = true" + (canGenerated(serverVersion) ? ", publish_generated_columns = stored" : "")

const canGenerated = (serverVersion: number): boolean => serverVersion >= 180_000

/** For these tables. */
export const create = (sql: Sql, name: string, tables: ReadonlyArray<TableName.TableName>, serverVersion: number) =>
  sql.query(`Creating publication ${name}`,
    `create publication ${quoteIdentifier(name)} for table ${tables.map(TableName.toSql).join(", ")} with (${optionsOn(serverVersion)})`)

/**
 * Alters one that is there so that it publishes what one that is made for these tables does. It is the same one afterwards, and has what
 * it has besides: other slots and subscribers may read by it, and miss whatever commits while there is none. Returns what was altered.
 */
export const complete = Effect.fnUntraced(function*(
  sql: Sql,
  name: string,
  publication: Publication,
  tables: ReadonlyArray<TableName.TableName>,
  serverVersion: number
) {
  const altered: Array<string> = []
  const { allTables, generatedColumns, missingOperations, viaRoot } = publication
  let now = publication
  if (missingOperations.length > 0 || !viaRoot || (canGenerated(serverVersion) && !generatedColumns)) {
    yield* sql.query(`Altering publication ${name}`, `alter publication ${quoteIdentifier(name)} set (${optionsOn(serverVersion)})`)
    altered.push("what it publishes of each table")
    now = (yield* read(sql, name))! // partitions are their root's now
  }
  const partial = tables.filter((table) => now.partialTables.has(TableName.format(table)))
  for (const table of partial) yield* dropTable(sql, name, table)
  const missing = allTables ? [] : tables.filter((table) => partial.includes(table) || !now.tables.has(TableName.format(table)))
  if (missing.length > 0) {
    yield* addTables(sql, name, missing)
    altered.push(`has all of ${missing.map(TableName.format).join(", ")} now`)
  }
  return altered
})

export const addTables = (sql: Sql, name: string, tables: ReadonlyArray<TableName.TableName>) =>
  sql.query(`Adding tables to publication ${name}`,
    `alter publication ${quoteIdentifier(name)} add table ${tables.map(TableName.toSql).join(", ")}`)

export const dropTable = (sql: Sql, name: string, table: TableName.TableName) =>
  sql.query(`Taking ${TableName.format(table)} out of publication ${name}`,
    `alter publication ${quoteIdentifier(name)} drop table ${TableName.toSql(table)}`)

export const drop = (sql: Sql, name: string) =>
  sql.query(`Dropping publication ${name}`, `drop publication if exists ${quoteIdentifier(name)}`)

interface StoredTable extends TableName.TableName {
  readonly partial: boolean
}

interface StoredPublication {
  readonly oid: number
  readonly xmin: string
  readonly owner: number
  readonly missing: ReadonlyArray<string>
  readonly puballtables: boolean
  readonly pubviaroot: boolean
  readonly generated: boolean
}
