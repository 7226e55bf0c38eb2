import { Duration, Effect } from "effect"
import type { Sql } from "../connections/Postgres.ts"
import { PostgresError } from "../connections/PostgresError.ts"

/**
 * Waits until the transactions that a batch came from are visible to the caller's next statements. The WAL has a commit, and a
 * topic may, before other sessions see it: a backend flushes its commit record, may wait for a synchronous standby (on Neon,
 * for its safekeepers), and only then leaves the list of running transactions. Who reads the hub's rows in between misses
 * what the batch tells of, and would not look again.
 *
 * `xids` are the 32 bits that pgoutput sends; whole ids follow from the caller's own, which is later than all of them.
 * `pg_xact_status` says "in progress" by that list, not by the commit log. Needs READ COMMITTED.
 */
export const awaitVisible = Effect.fnUntraced(function*(sql: Sql, xids: ReadonlyArray<number>): Effect.fn.Return<void, PostgresError> {
  if (xids.length === 0) return
  for (let delay = firstDelayMillis, waited = 0; waited < patienceMillis; waited += delay, delay = Math.min(delay * 2, maxDelayMillis)) {
    const [row] = yield* sql.query<{ hidden: boolean }>("Looking for running transactions", anyHidden, [xids])
    if (!row!.hidden) return
    yield* Effect.sleep(Duration.millis(delay))
  }
  return yield* new PostgresError({
    reason: "contended",
    code: "55000",
    message: "Waiting for the transactions of a batch to become visible: they still run; is a synchronous standby away?"
  })
})

/** A commit's way to the standby and back. */
const firstDelayMillis = 2
const maxDelayMillis = 100
/** Then the caller's transaction is given up, with the offsets that it holds, and the batch tried again. */
const patienceMillis = 5_000

const anyHidden = `
  with own as (select pg_current_xact_id()::text::bigint as id, pg_snapshot_xmin(pg_current_snapshot())::text::bigint as xmin),
  sent as (
    select own.id - own.id % 4294967296 + xid - case when xid > own.id % 4294967296 then 4294967296 else 0 end as id
    from unnest($1::bigint[]) as u(xid), own)
  select exists (
    select from sent, own
    where case when sent.id >= own.xmin and sent.id < own.id then pg_xact_status(sent.id::text::xid8) = 'in progress' end) as hidden`
