import type { Sql } from "../connections/Postgres.ts"

/**
 * Begins the part of a transaction that holds rows of the hub, and bounds what we wait for there, and for how long a process that has
 * stopped (frozen, cut off) may keep what it has: then the server ends its session.
 */
export const begin = (sql: Sql) =>
  sql.query(
    "Limiting how long the hub is held",
    `set local lock_timeout = '${lockWaitMillis}ms'; set local idle_in_transaction_session_timeout = '${stoppedMillis}ms'`
  )

/** Far below `deadlock_timeout` (1 s): the hub is never the victim. */
export const lockWaitMillis = 50
/** Longer than any pause of a process that lives. */
const stoppedMillis = 2_000

/** Rows that are written in some 40 ms, so that who deletes or edits one of them waits for less than 100 ms, commit included. */
const maxRows = 1_500

/** Parts rows into those that one transaction may hold, beside what it was given before, and those that must wait for another one. */
export const makeAllowance = (): <Row>(rows: ReadonlyArray<Row>) => readonly [now: ReadonlyArray<Row>, later: ReadonlyArray<Row>] => {
  let left = maxRows
  return (rows) => {
    const now = rows.slice(0, left)
    left -= now.length
    return [now, rows.slice(now.length)]
  }
}
