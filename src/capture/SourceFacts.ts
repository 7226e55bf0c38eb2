import { Effect } from "effect"
import type { PostgresError } from "../connections/PostgresError.ts"
import type { Sql } from "../connections/Postgres.ts"
import type { Relation } from "../domain/RowChange.ts"
import { quoteIdentifier } from "../domain/SqlIdentifier.ts"
import * as TableName from "../domain/TableName.ts"
import * as Catalogue from "./Catalogue.ts"
import * as Identity from "./Identity.ts"
import * as Publication from "./Publication.ts"
import * as Slot from "./Slot.ts"

/** What a source says of itself, read once; `SourceChecks.ts` judges it. Everything of Postgres that capture rests on. */
export interface SourceFacts {
  readonly host: string
  readonly server: Identity.StoredServer
  readonly walSenders: { readonly used: number; readonly max: number }
  /** In milliseconds or megabytes; undefined: this version has no such setting. */
  readonly settings: ReadonlyMap<string, number>
  readonly slotName: string
  readonly slotExists: boolean
  /** Somebody reads it, so that it has its walsender. */
  readonly slotIsRead: boolean
  /** CREATE on the database: for the publication and the state schema. */
  readonly mayCreate: boolean
  /** The state schema, where it is there and the role may not work in it; undefined: it is not there, or the role may. */
  readonly closedSchema: string | undefined
  readonly publicationName: string
  readonly publication: Publication.Publication | undefined
  /** Of the publication's tables, those of which Postgres would refuse UPDATE and DELETE. */
  readonly frozenTables: ReadonlyArray<string>
  readonly tables: ReadonlyArray<TableFacts>
}

/** A table of the configuration. */
export interface TableFacts {
  /** As Postgres spells it. */
  readonly name: string
  /** undefined: it is not in the database. */
  readonly relation: Relation | undefined
  /** Of the old row, what Postgres sends. */
  readonly identity: ReadonlyArray<string>
  readonly isReadable: boolean
  /** The role owns it, or is a member of its owner: only such may publish it. */
  readonly isOwned: boolean
  readonly hasRowFilter: boolean
  /** Published only in part. */
  readonly hasColumnList: boolean
  /** Of a partitioned table its leaves: Postgres goes by each one's own replica identity, whatever the root's is. */
  readonly partitions: ReadonlyArray<PartitionFacts>
  /** Columns outside of the key that Postgres may store out of line, and so not send again. */
  readonly largeColumns: ReadonlyArray<string>
  /** There are values out of line now. */
  readonly hasLargeValues: boolean
  /** Columns added with a default since capture was set up: rows written before lack them in the topic. */
  readonly addedWithDefault: ReadonlyArray<string>
}

export interface PartitionFacts {
  /** As Postgres spells it. */
  readonly name: string
  /** REPLICA IDENTITY FULL. */
  readonly isFull: boolean
  /** Columns of the old row that Postgres sends if it is not FULL; none: it would refuse UPDATE and DELETE. */
  readonly identity: ReadonlyArray<string>
}

export interface SourceNames {
  readonly slot: string
  readonly publication: string
  readonly stateSchema: string
  readonly tables: ReadonlyArray<TableName.TableName>
}

export const read = Effect.fnUntraced(function*(sql: Sql, host: string, names: SourceNames): Effect.fn.Return<SourceFacts, PostgresError> {
  const server = yield* Identity.readServer(sql)
  const [senders] = yield* sql.query<{ used: number; max: number; may_create: boolean }>("Counting the walsenders", `
    select has_database_privilege(current_database(), 'create') as may_create, current_setting('max_wal_senders')::int as max,
      (select count(*)::int from pg_stat_activity where backend_type = 'walsender') as used`)
  const settings = yield* sql.query<StoredSetting>("Reading the server's settings",
    "select name, setting::float8 as value, unit from pg_settings where name = any($1)", [settingNames])
  const closed = yield* sql.query("Looking at the state schema", `
    select from pg_namespace n where nspname = $1 and not (has_schema_privilege(n.oid, 'usage')
      and not exists (select from pg_class c where c.relnamespace = n.oid and relkind = 'r' and not has_table_privilege(c.oid, 'select, insert, update, delete')))`, [names.stateSchema])
  const slot = yield* Slot.read(sql, names.slot)
  const publication = yield* Publication.read(sql, names.publication)
  const frozen = yield* sql.query<{ name: string }>(`Checking the tables of publication ${names.publication}`, `
    select format('%I.%I', schemaname, tablename) as name from pg_publication_tables
    join pg_namespace n on n.nspname = schemaname join pg_class c on c.relnamespace = n.oid and c.relname = tablename
    where pubname = $1 and c.relkind = 'r' and ${isFrozen} order by 1`, [names.publication])
  return {
    host,
    server,
    walSenders: senders!,
    settings: new Map(settings.map(({ name, unit, value }) => [name, value < 0 ? value : value * (millis[unit ?? ""] ?? 1)])),
    slotName: names.slot,
    mayCreate: senders!.may_create,
    closedSchema: closed.length > 0 ? names.stateSchema : undefined,
    slotExists: slot !== undefined,
    slotIsRead: slot?.active ?? false,
    publicationName: names.publication,
    publication,
    frozenTables: frozen.map(({ name }) => name),
    tables: yield* readTables(sql, names, publication, closed.length > 0)
  }
})

const settingNames = [
  "max_slot_wal_keep_size", "wal_sender_timeout", "idle_replication_slot_timeout",
  "statement_timeout", "idle_in_transaction_session_timeout", "idle_session_timeout", "transaction_timeout"
]
const millis: Readonly<Record<string, number>> = { s: 1_000, min: 60_000 }

const readTables = Effect.fnUntraced(function*(sql: Sql, names: SourceNames, publication: Publication.Publication | undefined, isClosed: boolean) {
  const catalogue = Catalogue.make(sql)
  const rows = yield* sql.query<StoredTable>("Looking at the tables", tablesStatement, [names.tables.map(TableName.toSql), names.publication])
  const added = publication === undefined || isClosed ? new Map() : yield* readAddedColumns(sql, names, publication.xmin)
  return yield* Effect.forEach(names.tables, Effect.fnUntraced(function*(table, index): Effect.fn.Return<TableFacts, PostgresError> {
    const announced = yield* catalogue.announce(table, publication?.generatedColumns ?? false)
    const row = rows[index]!
    const name = TableName.format(table)
    const relation = announced === undefined ? undefined : yield* catalogue.resolve(announced.message)
    const key = relation?.key.map((column) => relation.columns[column]!.name) ?? []
    return {
      name,
      relation,
      identity: announced?.message.columns.filter(({ partOfIdentity }) => partOfIdentity).map((column) => column.name) ?? [],
      isReadable: row.readable,
      isOwned: row.owned,
      hasRowFilter: row.filtered,
      hasColumnList: row.listed,
      partitions: row.partitions,
      largeColumns: row.large_columns.filter((column) => !key.includes(column)),
      hasLargeValues: row.has_large_values,
      addedWithDefault: added.get(name) ?? []
    }
  }))
})

/** Postgres refuses UPDATE and DELETE of a published table without a replica identity. Source: execReplication.c, CheckCmdReplicaIdentity. */
const isFrozen = `
  (c.relreplident = 'n'
    or (c.relreplident = 'd' and not exists (select from pg_index where indrelid = c.oid and indisprimary and indimmediate))
    or (c.relreplident = 'i' and not exists (select from pg_index where indrelid = c.oid and indisreplident)))`

const tablesStatement = `
  select coalesce(has_table_privilege(c.oid, 'select'), false) as readable, coalesce(pg_has_role(c.relowner, 'usage'), false) as owned,
    coalesce(pr.prqual is not null, false) as filtered, coalesce(pr.prattrs is not null, false) as listed,
    (select coalesce(json_agg(json_build_object('name', format('%I.%I', l.relnamespace::regnamespace::text, l.relname), 'isFull', l.relreplident = 'f',
        'identity', array(select attname::text from pg_index i join pg_attribute on attrelid = i.indrelid and attnum = any (i.indkey)
          where i.indrelid = l.oid and case l.relreplident when 'd' then indisprimary when 'i' then indisreplident else false end)) order by l.relname), '[]')
      from pg_partition_tree(c.oid) p join pg_class l on l.oid = p.relid where p.isleaf and l.oid <> c.oid) as partitions,
    array(select attname::text from pg_attribute where attrelid = c.oid and attnum > 0 and not attisdropped and attlen = -1 and attstorage <> 'p'
      and (atttypmod = -1 or atttypmod > 2000) order by attnum) as large_columns,
    exists (select from pg_class l where l.reltoastrelid <> 0 and pg_relation_size(l.reltoastrelid) > 0
      and (l.oid = c.oid or l.oid in (select relid from pg_partition_tree(c.oid)))) as has_large_values
  from unnest($1::text[]) with ordinality as wanted (sql_name, n)
  left join pg_class c on c.oid = to_regclass(sql_name)
  left join pg_publication_rel pr on pr.prrelid = c.oid and pr.prpubid = (select oid from pg_publication where pubname = $2)
  order by n`

/**
 * `ADD COLUMN … DEFAULT` rewrites no row, and so sends none: its old rows have the value in the catalogue only (`atthasmissing`). Later
 * than the publication, which `setup` made, and not read again since; transactions are compared by their age.
 */
const readAddedColumns = Effect.fnUntraced(function*(sql: Sql, names: SourceNames, publicationXmin: string) {
  const rereads = `${quoteIdentifier(names.stateSchema)}.rereads`
  const [found] = yield* sql.query<{ there: boolean }>("Looking for the re-reads", "select to_regclass($1) is not null as there", [rereads])
  const readAgain = found!.there
    ? `exists (select from ${rereads} r where r.slot = $4 and r.table_name = name and r.state = 'done' and r.condition is null and age(r.xmin) < age(a.xmin))`
    : "$4::text is null"
  const rows = yield* sql.query<{ name: string; columns: ReadonlyArray<string> }>("Looking for columns added with a default", `
    select name, array_agg(attname::text order by attnum) as columns
    from unnest($1::text[], $2::text[]) as wanted (name, sql_name) join pg_attribute a on a.attrelid = to_regclass(sql_name)
    where atthasmissing and not attisdropped and age(a.xmin) < age($3::xid) and not ${readAgain}
    group by name`, [names.tables.map(TableName.format), names.tables.map(TableName.toSql), publicationXmin, names.slot])
  return new Map(rows.map(({ columns, name }) => [name, columns]))
})

interface StoredSetting {
  readonly name: string
  readonly value: number
  readonly unit: string | null
}

interface StoredTable {
  readonly readable: boolean
  readonly owned: boolean
  readonly filtered: boolean
  readonly listed: boolean
  readonly partitions: ReadonlyArray<PartitionFacts>
  readonly large_columns: ReadonlyArray<string>
  readonly has_large_values: boolean
}
