import { Effect } from "effect"
import type { Sql } from "../src/connections/Postgres.ts"
import * as Usage from "./debezium/Usage.ts"

/** What Postgres has spent so far; the difference of two readings is what was done in between. */
export interface PostgresUsage {
  /** CPU seconds of the backends of this database; NaN where Postgres is on another machine, or this is no Linux. */
  readonly cpuSeconds: number
  /** Bytes of WAL ever inserted, by anybody on the server. */
  readonly walBytes: bigint
}

export const read = (sql: Sql): Effect.Effect<PostgresUsage, unknown> =>
  Effect.map(
    sql.query<{ pids: ReadonlyArray<number>; wal: bigint }>(
      "Reading Postgres' usage",
      `select array_agg(pid) as pids, pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::bigint as wal
       from pg_stat_activity where datname = current_database() and backend_type = 'client backend'`
    ),
    ([row]) => ({ cpuSeconds: row!.pids.reduce((sum, pid) => sum + cpuSecondsOf(pid), 0), walBytes: row!.wal })
  )

/** Of a backend; NaN where it is on another machine, has gone, or this is no Linux. */
export const cpuSecondsOf = (pid: number): number => {
  try {
    return Usage.of(pid).cpuSeconds
  } catch {
    return NaN
  }
}
