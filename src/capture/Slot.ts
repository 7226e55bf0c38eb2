import { Effect, Schedule } from "effect"
import type { Postgres, Sql } from "../connections/Postgres.ts"
import { PostgresError } from "../connections/PostgresError.ts"
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

/**
 * Creates it for pgoutput; returns the position it starts from. The server waits for every transaction that writes at this moment, for each
 * `waitMillis` at the most. Leaves no slot behind when it fails or is interrupted: the server's session would go on waiting, and then make it.
 */
export const create = (postgres: Postgres["Service"], name: string, waitMillis: number) =>
  postgres.transaction((sql) =>
    Effect.gen(function*() {
      const doing = `Creating replication slot ${name}`
      yield* sql.query(doing, "select set_config('lock_timeout', $1, true)", [`${waitMillis}`])
      const [row] = yield* sql.query<{ lsn: string }>(doing,
        "select lsn::text as lsn from pg_create_logical_replication_slot($1, 'pgoutput')", [name]).pipe(
          Effect.onInterrupt(() => Effect.ignore(drop(postgres, name)))
        )
      return Lsn.parse(row!.lsn)
    })).pipe(
      Effect.catchIf((error) => error.isLockTimeout, (error) =>
        Effect.flatMap(writers(postgres), (open) =>
          Effect.fail(
            new PostgresError({
              reason: error.reason,
              code: error.code,
              message: `${error.message}: a slot starts where no transaction is open that has written, and after ${waitMillis / 1_000} s one still is (${open}); `
                + "end it, or wait for it, and do this again"
            })
          )))
    )

/** The oldest sessions whose transactions have written, without what they said: statements hold values. */
const writers = (sql: Sql) =>
  Effect.map(
    sql.query<{ session: string }>("Looking for open transactions", `
      select concat_ws(', ', 'pid ' || pid, nullif(application_name, ''), state, 'since ' || date_trunc('second', xact_start)) as session
      from pg_stat_activity where backend_xid is not null and pid <> pg_backend_pid() order by xact_start limit 3`),
    (sessions) => sessions.length === 0 ? "it ended just now" : sessions.map(({ session }) => session).join("; ")
  )

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
