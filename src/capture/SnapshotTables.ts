import { Effect } from "effect"
import type { Sql } from "../connections/Postgres.ts"
import type { PostgresError } from "../connections/PostgresError.ts"
import { quoteIdentifier } from "../domain/SqlIdentifier.ts"
import * as TableName from "../domain/TableName.ts"

/** A table's part of the first snapshot, as the process that reads it notes it. */
export interface SnapshotTable {
  /** By `TableName.format`. */
  readonly table: string
  readonly state: "waiting" | "reading" | "done"
  /** Acknowledged by Kafka. */
  readonly rows: number
  readonly estimatedRows: number | null
  /** On disk, as the reading began; null: not measured yet. */
  readonly bytes: number | null
  /** Since its first rows came, until its last row was acknowledged; null: not begun. */
  readonly seconds: number | null
}

/** The table `snapshot_tables` of the state schema, and the snapshot's rate beside it in `capture`. */
export const make = (stateSchema: string, slot: string) => {
  const capture = `${quoteIdentifier(stateSchema)}.capture`
  const tables = `${quoteIdentifier(stateSchema)}.snapshot_tables`

  /** Also what a `cdc` schema of an earlier version lacks. After `capture`. */
  const create = (sql: Sql) =>
    sql.query("Creating the state schema", `
      create table if not exists ${tables} (
        slot text not null, table_name text not null, state text not null check (state in ('waiting', 'reading', 'done')),
        rows bigint not null default 0, estimated_rows bigint, primary key (slot, table_name));
      alter table ${tables} add column if not exists bytes bigint, add column if not exists seconds real;
      alter table ${capture} add column if not exists snapshot_rows_per_second real, add column if not exists snapshot_noted_at timestamptz`)

  const forget = (sql: Sql) =>
    sql.query("Forgetting the former snapshot", `delete from ${tables} where slot = $1`, [slot])

  /** A first snapshot begins: nothing of it is read. */
  const begin = Effect.fnUntraced(function*(sql: Sql, names: ReadonlyArray<TableName.TableName>) {
    yield* forget(sql)
    yield* sql.query("Listing the tables to read",
      `insert into ${tables} (slot, table_name, state) select $1, name, 'waiting' from unnest($2::text[]) as t (name)`,
      [slot, names.map(TableName.format)])
  })

  /** As they were last noted. */
  const list = Effect.fnUntraced(function*(sql: Sql): Effect.fn.Return<ReadonlyArray<SnapshotTable>, PostgresError> {
    const rows = yield* sql.query<StoredTable>("Reading the snapshot's progress", `
      select table_name, state, rows, estimated_rows, (to_jsonb(t) ->> 'bytes')::bigint as bytes, (to_jsonb(t) ->> 'seconds')::float8 as seconds
      from ${tables} t where slot = $1 order by table_name`, [slot]) // to_jsonb: `setup` of an earlier version made the table without them
    return rows.map((row) => ({
      table: row.table_name,
      state: row.state,
      rows: Number(row.rows),
      estimatedRows: row.estimated_rows === null ? null : Number(row.estimated_rows),
      bytes: row.bytes === null ? null : Number(row.bytes),
      seconds: row.seconds
    }))
  })

  /**
   * What is done stays so, even if an earlier note arrives late; a note of a former epoch, by a process that was frozen, changes
   * nothing. `rowsPerSecond`: lately, of all tables together.
   */
  const note = (sql: Sql, epoch: number, notes: ReadonlyArray<SnapshotTable>, rowsPerSecond: number) => {
    const add = sql.query("Recording the snapshot's progress", `
      with noted as (
        insert into ${tables} as t (slot, table_name, state, rows, estimated_rows, bytes, seconds)
        select slot, n.* from unnest($2::text[], $3::text[], $4::bigint[], $5::bigint[], $6::bigint[], $7::real[]) as n,
          (select slot from ${capture} where slot = $1 and epoch = $9) as current
        on conflict (slot, table_name) do update set state = excluded.state, rows = excluded.rows,
          estimated_rows = excluded.estimated_rows, bytes = excluded.bytes, seconds = excluded.seconds
        where t.state <> 'done')
      update ${capture} set snapshot_rows_per_second = $8, snapshot_noted_at = now() where slot = $1 and epoch = $9`,
      [
        slot, notes.map(({ table }) => table), notes.map(({ state }) => state), notes.map(({ rows }) => rows),
        notes.map(({ estimatedRows }) => estimatedRows), notes.map(({ bytes }) => bytes), notes.map(({ seconds }) => seconds), rowsPerSecond,
        epoch
      ])
    return add.pipe(Effect.catchIf((error) => error.code === undefinedColumn, () => Effect.andThen(create(sql), add)))
  }

  return { create, forget, begin, list, note }
}

export type SnapshotTables = ReturnType<typeof make>

/** SQLSTATE (Postgres manual, appendix A): the schema is of an earlier version. */
const undefinedColumn = "42703"

interface StoredTable {
  readonly table_name: string
  readonly state: SnapshotTable["state"]
  readonly rows: bigint
  readonly estimated_rows: bigint | null
  readonly bytes: bigint | null
  readonly seconds: number | null
}
