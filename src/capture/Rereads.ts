import { Effect } from "effect"
import type { Sql } from "../connections/Postgres.ts"
import type { PostgresError } from "../connections/PostgresError.ts"
import { quoteIdentifier } from "../domain/SqlIdentifier.ts"
import * as TableName from "../domain/TableName.ts"

/** Why a table is read again. */
export type Reason = "asked" | "added" | "gapped" | "resnapshot" | "truncated"

/** `waiting` → `reading` → (`sweeping` →) `done`, or `failed`. */
export type State = "waiting" | "reading" | "sweeping" | "done" | "failed"

/** By partition: the end of a topic when the re-read began. The last record of a key that lies before it is older than the re-read. */
export type Bounds = ReadonlyMap<number, bigint>

/** A table that is to be read again while its changes are streamed. */
export interface Reread {
  readonly id: bigint
  readonly table: TableName.TableName
  /** SQL of the operator; undefined: all rows. */
  readonly condition: string | undefined
  /** Afterwards, keys that the table has no more get a delete. */
  readonly sweep: boolean
  readonly reason: Reason
  readonly state: State
  /** Its key's columns as `lastKey` has them, each with its type; undefined: not begun. */
  readonly keyColumns: ReadonlyArray<string> | undefined
  /** Every row up to it is published; undefined: none is. */
  readonly lastKey: ReadonlyArray<string> | undefined
  readonly bounds: Bounds | undefined
  readonly rows: number
  readonly swept: number
  readonly estimatedRows: number | null
  /** µs since 1970. */
  readonly startedAt: bigint | undefined
  /** The database's clock at the answer, µs since 1970. */
  readonly now: bigint
  /** Why it failed, or what it waits for. */
  readonly error: string | undefined
}

export interface Request {
  readonly table: TableName.TableName
  readonly condition?: string
  readonly sweep: boolean
  readonly reason: Reason
  /** `sweeping`: the rows have been read otherwise; then with `bounds`. */
  readonly state?: "waiting" | "sweeping"
  readonly bounds?: Bounds
}

/** Prefix of the message that tells a running capture of a request; its content is the slot. */
export const requestPrefix = "cdc.reread"

/** The table `rereads` of the state schema. Every function runs on the given connection or transaction. */
export const make = (stateSchema: string, slot: string) => {
  const schema = quoteIdentifier(stateSchema)
  const rereads = `${schema}.rereads`

  const createTable = (sql: Sql) =>
    sql.query("Creating the list of re-reads", `
      create table if not exists ${rereads} (
        slot text not null, id bigint generated always as identity, table_name text not null, condition text,
        sweep boolean not null, reason text not null check (reason in ('asked', 'added', 'gapped', 'resnapshot', 'truncated')),
        state text not null default 'waiting' check (state in ('waiting', 'reading', 'sweeping', 'done', 'failed')),
        key_columns text[], last_key text[], bounds jsonb, rows bigint not null default 0, swept bigint not null default 0,
        estimated_rows bigint, requested_at timestamptz not null default now(), started_at timestamptz, finished_at timestamptz,
        error text, primary key (slot, id))`)

  /** Wakes a running capture when the transaction commits. */
  const request = Effect.fnUntraced(function*(sql: Sql, wanted: Request) {
    const [row] = yield* sql.query<{ id: bigint }>(`Asking for ${TableName.format(wanted.table)} to be read again`, `
      with recursive parts as (
        select to_regclass($3)::oid as oid
        union all select c.oid from pg_inherits join parts on inhparent = parts.oid join pg_class c on c.oid = inhrelid and c.relispartition),
      estimated as (select sum(greatest(reltuples, 0))::bigint as rows from pg_class join parts using (oid) where relkind = 'r'),
      told as (select pg_logical_emit_message(true, $8::text, $1::text))
      insert into ${rereads} (slot, table_name, condition, sweep, reason, state, bounds, estimated_rows, started_at)
      select $1, $2, $4, $5, $6, $7, $9, estimated.rows, case when $7 = 'sweeping' then now() end from estimated, told
      returning id`, [
      slot, TableName.format(wanted.table), TableName.toSql(wanted.table), wanted.condition ?? null, wanted.sweep, wanted.reason,
      wanted.state ?? "waiting", requestPrefix, wanted.bounds === undefined ? null : storedBounds(wanted.bounds)
    ])
    return row!.id
  })

  /** None if nobody has ever asked. */
  const read = (sql: Sql, doing: string, where: string, parameters: ReadonlyArray<unknown>) =>
    Effect.map(
      sql.query<StoredReread>(doing, `
        select id, table_name, condition, sweep, reason, state, key_columns, last_key, bounds, rows, swept, estimated_rows,
          ${micros("started_at")} as started_at, ${micros("clock_timestamp()")} as now, error
        from ${rereads} where slot = $1 and ${where}`, [slot, ...parameters]).pipe(
        Effect.catchIf((error) => error.code === undefinedTable, () => Effect.succeed([]))
      ),
      (rows) => rows.map(fromRow)
    )

  /** The oldest one of these tables that is not finished. */
  const next = (sql: Sql, tables: ReadonlyArray<TableName.TableName>) =>
    Effect.map(
      read(sql, "Looking for re-reads", `state in ('waiting', 'reading', 'sweeping') and table_name = any ($2) order by id limit 1`,
        [tables.map(TableName.format)]),
      ([first]) => first
    )

  /** Oldest first; undefined: all that are not finished, and the last ones that are. */
  const list = (sql: Sql, ids?: ReadonlyArray<bigint>) =>
    ids === undefined
      ? read(sql, "Reading the re-reads", `(state in ('waiting', 'reading', 'sweeping') or finished_at > now() - interval '1 day') order by id`, [])
      : read(sql, "Reading the re-reads", "id = any ($2) order by id", [ids])

  const update = (sql: Sql, doing: string, { id, table }: Reread, set: string, parameters: ReadonlyArray<unknown> = []) =>
    Effect.asVoid(sql.query(`${doing} ${TableName.format(table)}`, `update ${rereads} set ${set} where slot = $1 and id = $2`, [slot, id, ...parameters]))

  return {
    table: { schema: stateSchema, table: "rereads" } satisfies TableName.TableName,
    createTable,
    request,
    next,
    list,

    /** Where each partition of the topic ended when the last re-read of all the table's rows that is done began; undefined: not known of any. */
    lastWhole: (sql: Sql, table: TableName.TableName): Effect.Effect<Bounds | undefined, PostgresError> =>
      Effect.map(
        read(sql, "Looking for a re-read of the whole table", `table_name = $2 and condition is null and state = 'done' and bounds is not null order by id desc limit 1`, [TableName.format(table)]),
        ([reread]) => reread?.bounds
      ),

    /** From the table's first row: what was published before, also by an earlier beginning under another key, lies before `bounds`. */
    begun: (sql: Sql, reread: Reread, keyColumns: ReadonlyArray<string>, bounds: Bounds | undefined) =>
      update(sql, "Beginning to re-read", reread, `
        state = 'reading', key_columns = $3, last_key = null, rows = 0, bounds = coalesce($4, bounds), error = null,
        started_at = coalesce(started_at, now())`, [keyColumns, bounds === undefined ? null : storedBounds(bounds)]),

    /** All rows up to `lastKey` are acknowledged, `rows` more than before. */
    advanced: (sql: Sql, reread: Reread, lastKey: ReadonlyArray<string>, rows: number) =>
      update(sql, "Noting the re-read of", reread, "last_key = $3, rows = rows + $4, error = null", [lastKey, rows]),

    /** What it waits for, told to people; it goes on by itself. */
    delayed: (sql: Sql, reread: Reread, why: string) => update(sql, "Noting the re-read of", reread, "error = $3", [why]),

    /** The rows are published: done, or to be swept. */
    allRead: (sql: Sql, reread: Reread) =>
      update(sql, "Ending the re-read of", reread, `
        state = case when sweep then 'sweeping' else 'done' end, error = null, finished_at = case when sweep then null else now() end`),

    /** Of one that begins with its sweep: the first snapshot has not read the table. Swept so, its topic would lose every row. */
    isUnread: (sql: Sql, { keyColumns, reason, table }: Reread) =>
      reason !== "resnapshot" || keyColumns !== undefined ? Effect.succeed(false) : Effect.map(
        sql.query("Asking whether a table was read",
          `select from ${schema}.snapshot_tables where slot = $1 and table_name = $2 and state = 'done'`, [slot, TableName.format(table)]),
        (rows) => rows.length === 0
      ),

    readFirst: (sql: Sql, reread: Reread) => update(sql, "Beginning to re-read", reread, "state = 'waiting'"),

    swept: (sql: Sql, reread: Reread, rows: number) => update(sql, "Noting the sweep of", reread, "swept = swept + $3", [rows]),

    done: (sql: Sql, reread: Reread) =>
      update(sql, "Ending the re-read of", reread, "state = 'done', error = null, finished_at = now()"),

    failed: (sql: Sql, reread: Reread, why: string) =>
      update(sql, "Ending the re-read of", reread, "state = 'failed', error = $3, finished_at = now()", [why])
  }
}

export type Rereads = ReturnType<typeof make>

/** SQLSTATE of a missing table, also when its schema is missing. Source: Postgres manual, appendix A. */
const undefinedTable = "42P01"

interface StoredReread {
  readonly id: bigint
  readonly table_name: string
  readonly condition: string | null
  readonly sweep: boolean
  readonly reason: Reason
  readonly state: State
  readonly key_columns: ReadonlyArray<string> | null
  readonly last_key: ReadonlyArray<string> | null
  readonly bounds: Readonly<Record<string, string>> | null
  readonly rows: bigint
  readonly swept: bigint
  readonly estimated_rows: bigint | null
  readonly started_at: bigint | null
  readonly now: bigint
  readonly error: string | null
}

const fromRow = (row: StoredReread): Reread => ({
  id: row.id,
  table: TableName.parse(row.table_name),
  condition: row.condition ?? undefined,
  sweep: row.sweep,
  reason: row.reason,
  state: row.state,
  keyColumns: row.key_columns ?? undefined,
  lastKey: row.last_key ?? undefined,
  bounds: row.bounds === null ? undefined : new Map(Object.entries(row.bounds).map(([partition, end]) => [Number(partition), BigInt(end)])),
  rows: Number(row.rows),
  swept: Number(row.swept),
  estimatedRows: row.estimated_rows === null ? null : Number(row.estimated_rows),
  startedAt: row.started_at ?? undefined,
  now: row.now,
  error: row.error ?? undefined
})

const storedBounds = (bounds: Bounds): string =>
  JSON.stringify(Object.fromEntries([...bounds].map(([partition, end]) => [partition, end.toString()])))

const micros = (instant: string) => `(extract(epoch from ${instant}) * 1000000)::bigint`
