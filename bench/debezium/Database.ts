import { Effect, Layer } from "effect"
import { readFileSync } from "node:fs"
import pg from "pg"
import { AppConfig } from "../../src/Config.ts"
import { Postgres } from "../../src/connections/Postgres.ts"
import * as TableName from "../../src/domain/TableName.ts"
import * as Hub from "../../src/embedded/hub/Hub.ts"
import { groups, type TypeLiterals } from "./TypeLiterals.ts"

/** Small, so that most of a run is its workload. */
const companies = 40

/** The hub's tables with its sample rows and without its foreign keys, which random writes could only break; then the zoo. */
export const populate = async (database: pg.Client, databaseUrl: string, seed: number): Promise<void> => {
  await Effect.runPromise(Hub.prepare({ companies, seed }).pipe(Effect.provide(
    Postgres.layer.pipe(Layer.provideMerge(AppConfig.layerOf({ source: { databaseUrl }, kafka: { brokers: "none:1" } })))
  )))
  await database.query(`do $$ declare c record; begin
    for c in select conrelid::regclass as owner, conname from pg_constraint where contype = 'f' loop
      execute format('alter table %s drop constraint %I', c.owner, c.conname);
    end loop; end $$`)
  await database.query(readFileSync(new URL("zoo.sql", import.meta.url), "utf8"))
  const { rows: [server] } = await database.query<{ version: number }>("select current_setting('server_version_num')::int / 10000 as version")
  for (const [group, types] of Object.entries(groups)) {
    const known = server!.version < 17 ? types : types.map((type) => ({ ...type, literals: [...type.literals, ...type.from17 ?? []] }))
    for (const statement of typeTables(group, known)) await database.query(statement)
  }
}

/**
 * Of one group of types three tables: with nullable columns, the same under REPLICA IDENTITY FULL, and with NOT NULL
 * columns that have a default. Each has rows with every value of every type, and one row of nulls.
 */
const typeTables = (group: string, types: ReadonlyArray<TypeLiterals>): ReadonlyArray<string> => {
  const nullable = types.map(({ literals, onlyNullable = [], type }) => ({ type, literals: [...literals, ...onlyNullable] }))
  const required = types.filter(({ literals }) => literals.length > 0)
  return [
    `create table zoo.${group} (id int primary key, ${nullable.map(({ type }) => `${columnOf(type)} ${type}`).join(", ")})`,
    `create table zoo.${group}_full (like zoo.${group} including all)`,
    `alter table zoo.${group}_full replica identity full`,
    ...[group, `${group}_full`].flatMap((table) => [...inserts(table, nullable), `insert into zoo.${table} (id) values (0)`]),
    `create table zoo.${group}_required (id int primary key, ${
      required.map(({ literals, type }) => `${columnOf(type)} ${type} not null default ${literals[0]}`).join(", ")
    })`,
    ...inserts(`${group}_required`, required)
  ]
}

const inserts = (table: string, types: ReadonlyArray<TypeLiterals>): ReadonlyArray<string> => {
  const rows = Math.max(...types.map(({ literals }) => literals.length))
  const columns = types.map(({ type }) => columnOf(type)).join(", ")
  return Array.from({ length: rows }, (_, row) =>
    `insert into zoo.${table} (id, ${columns}) values (${row + 1}, ${types.map(({ literals, type }) => `(${literals[row % literals.length]})::${type}`).join(", ")})`)
}

/** `numeric(10,2)[]` → `c_numeric_10_2_array` */
const columnOf = (type: string): string =>
  `"c_${type.replaceAll("[]", "_array").replaceAll("\"char\"", "internal_char").replaceAll(/[^a-z0-9_]+/g, "_").replace(/_$/, "")}"`

/** What the comparison and the workload know of a captured table. */
export interface Table {
  readonly name: TableName.TableName
  readonly columns: ReadonlyArray<Column>
  /** d: DEFAULT, f: FULL, i: USING INDEX, n: NOTHING. */
  readonly identity: "d" | "f" | "i" | "n"
  /** The primary key's columns, in its order; without one, those of the identity's index. */
  readonly key: ReadonlyArray<string>
  /** What Postgres sends of a deleted row. */
  readonly identityColumns: ReadonlyArray<string>
}

export interface Column {
  readonly name: string
  /** As `format_type` spells it; a domain's is its own. */
  readonly type: string
  readonly isRequired: boolean
  readonly isGenerated: boolean
}

/** Of every table of the database that is to be captured: not our own state, no partition, none that only foreign keys named. */
export const tablesOf = async (database: pg.Client): Promise<ReadonlyArray<Table>> => {
  const { rows } = await database.query<Omit<Table, "name"> & { schema: string; table: string; primaryKey: ReadonlyArray<string> | null; index: ReadonlyArray<string> | null }>(tablesStatement)
  return rows.map(({ columns, identity, index, primaryKey, schema, table }) => ({
    name: TableName.TableName(schema, table),
    columns,
    identity,
    key: primaryKey ?? index ?? [],
    identityColumns: identity === "f" ? columns.map(({ name }) => name) : identity === "d" ? primaryKey ?? [] : index ?? []
  }))
}

const keyColumns = (which: string) => `(select array_agg(attname::text order by position) from pg_index i
  cross join unnest(i.indkey::int2[]) with ordinality k(number, position) join pg_attribute on attrelid = c.oid and attnum = k.number
  where i.indrelid = c.oid and ${which})`

const tablesStatement = `
  select nspname as schema, relname as table, relreplident as identity,
    ${keyColumns("i.indisprimary")} as "primaryKey", ${keyColumns("i.indisreplident")} as index,
    (select json_agg(json_build_object('name', attname, 'type', format_type(atttypid, atttypmod), 'isRequired', attnotnull, 'isGenerated', attgenerated <> '') order by attnum)
      from pg_attribute where attrelid = c.oid and attnum > 0 and not attisdropped) as columns
  from pg_class c join pg_namespace n on n.oid = relnamespace
  where relkind in ('r', 'p') and not relispartition and nspname in ('outreach', 'outreach_ctx', 'cl', 'bit', 'zoo', 'public')
    and c.oid <> all (array['outreach.company_target', 'outreach.people', 'outreach.dol']::regclass[])
  order by 1, 2`
