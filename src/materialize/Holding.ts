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

/** What the writing of rows may take, so that who deletes or edits one of them waits for less than 100 ms, commit included. */
const targetMillis = 40
/** Before anything was measured: written in less than that on any machine that is not overloaded. */
const firstRows = 1_500
/** As many always get on, however slow the machine is; and as many are enough, however fast. */
const minRows = 50
const maxRows = 10_000

/** How many rows of the hub one transaction may hold, by how long those before it took to write theirs: a bound in time, not in rows. */
export const makePace = () => {
  let rows = firstRows
  return {
    get rows(): number {
      return rows
    },
    /** Slows down at once, by a half at the most (one slow transaction may be the machine's), and quickens in steps, where more had been written if it might. */
    wrote: (written: number, millis: number): void => {
      if (millis > targetMillis) rows = Math.max(minRows, Math.floor(rows * Math.max(0.5, targetMillis / millis)))
      else if (written >= rows) rows = Math.min(maxRows, Math.floor(rows * 1.25))
    }
  }
}

/** Parts changes into those that one transaction may hold, beside what it was given before, and those that must wait for another one. */
export const makeAllowance = (rows: number): <Change>(changes: ReadonlyArray<Change>) => readonly [now: ReadonlyArray<Change>, later: ReadonlyArray<Change>] => {
  let left = rows
  return (changes) => {
    const now = changes.slice(0, left)
    left -= now.length
    return [now, changes.slice(now.length)]
  }
}
