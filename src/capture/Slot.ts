import { Effect, Schedule } from "effect"
import type { Sql } from "../connections/Postgres.ts"
import * as Lsn from "../domain/Lsn.ts"

/** A logical replication slot as the server shows it. */
export interface Slot {
  readonly database: string
  readonly plugin: string
  readonly active: boolean
  /**
   * The server has invalidated it, and it can never be read again: `wal_removed`, `rows_removed`, `wal_level_insufficient`,
   * `idle_timeout`, or what a later version says. undefined: it is good.
   */
  readonly invalidated: string | undefined
  readonly confirmedFlush: Lsn.Lsn
}

/** undefined: there is no such slot. */
export const read = Effect.fnUntraced(function*(sql: Sql, name: string) {
  // to_jsonb, because invalidation_reason is there since 17 and conflicting since 16: before that, lost WAL is the only way.
  const [row] = yield* sql.query<StoredSlot>(`Looking for replication slot ${name}`, `
    select database, plugin, active, confirmed_flush_lsn::text as confirmed_flush,
      coalesce(to_jsonb(s) ->> 'invalidation_reason', case when wal_status = 'lost' then 'wal_removed'
        when to_jsonb(s) ->> 'conflicting' = 'true' then 'rows_removed' end) as invalidated
    from pg_replication_slots s where slot_name = $1`, [name])
  if (row === undefined) return undefined
  const slot: Slot = {
    database: row.database ?? "",
    plugin: row.plugin ?? "",
    active: row.active,
    invalidated: row.invalidated ?? undefined,
    confirmedFlush: row.confirmed_flush === null ? Lsn.zero : Lsn.parse(row.confirmed_flush)
  }
  return slot
})

/** Creates it for pgoutput; waits for transactions that are running now. Returns the position it starts from. */
export const create = Effect.fnUntraced(function*(sql: Sql, name: string) {
  const [row] = yield* sql.query<{ lsn: string }>(`Creating replication slot ${name}`,
    "select lsn::text as lsn from pg_create_logical_replication_slot($1, 'pgoutput')", [name])
  return Lsn.parse(row!.lsn)
})

/** Moves a slot that nobody reads; returns where it stands then. Fails with code 55006 while somebody reads it. */
export const advance = Effect.fnUntraced(function*(sql: Sql, name: string, to: Lsn.Lsn) {
  const [row] = yield* sql.query<{ end_lsn: string }>(`Advancing replication slot ${name}`,
    "select end_lsn::text as end_lsn from pg_replication_slot_advance($1, $2::pg_lsn)", [name, Lsn.format(to)])
  return Lsn.parse(row!.end_lsn)
})

/** Hangs up on its reader, waits for it to be gone, and drops it; a reader that comes back at once, or one that stood by, too. */
export const drop = (sql: Sql, name: string) =>
  sql.query(`Dropping replication slot ${name}`, `
    select case when active_pid is null then true else pg_terminate_backend(active_pid, 5000) end, pg_drop_replication_slot(slot_name)
    from pg_replication_slots where slot_name = $1`, [name]).pipe(
    Effect.retry({ while: (error) => error.code === slotInUse, schedule: Schedule.spaced("50 millis"), times: 100 })
  )

const slotInUse = "55006"

interface StoredSlot {
  readonly database: string | null
  readonly plugin: string | null
  readonly active: boolean
  readonly invalidated: string | null
  readonly confirmed_flush: string | null
}
