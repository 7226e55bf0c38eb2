import { Duration, Effect } from "effect"
import type { Sql } from "../connections/Postgres.ts"
import type { PostgresError } from "../connections/PostgresError.ts"
import * as TableName from "../domain/TableName.ts"

/**
 * Waits until every transaction has ended that has written to the table by now, as CREATE INDEX CONCURRENTLY does. Two kinds of them could
 * be missing in a re-read, and in the stream after it: those that began before the table was in the publication, and those that an
 * earlier session has streamed while their commit still waits for a standby. A transaction keeps its locks until others see it.
 * `waiting` is told once, if there are any.
 */
export const awaitEnd = Effect.fnUntraced(function*<E, R>(
  sql: Sql,
  table: TableName.TableName,
  waiting: (count: number) => Effect.Effect<void, E, R>
): Effect.fn.Return<void, E | PostgresError, R> {
  const doing = `Looking for transactions that write to ${TableName.format(table)}`
  const found = yield* sql.query<Holder>(doing, `select distinct ${writersOf}`, [TableName.toSql(table)])
  if (found.length === 0) return
  const known = found.map(({ holder }) => holder)
  for (let delay = firstDelayMillis, polls = 0;; delay = Math.min(delay * 2, maxDelayMillis), polls++) {
    const open = yield* sql.query<Holder>(doing, `select distinct ${writersOf} and l.virtualtransaction = any ($2)`, [TableName.toSql(table), known])
    if (open.length === 0) return
    if (polls === toldAfterPolls) yield* waiting(open.length)
    yield* Effect.sleep(Duration.millis(delay))
  }
})

const firstDelayMillis = 5
const maxDelayMillis = 500
/** Some 300 ms: what ends sooner is nobody's concern. */
const toldAfterPolls = 6

interface Holder {
  readonly holder: string
}

/**
 * Locks that a transaction takes to change rows or the table itself; of a partitioned table those on any part of it. From `pg_inherits`, because
 * `pg_partition_tree` would wait for a lock that a migration holds.
 */
const writersOf = `l.virtualtransaction as holder
  from pg_locks l
  where l.locktype = 'relation' and l.granted and l.database = (select oid from pg_database where datname = current_database())
    and l.mode in ('RowExclusiveLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock')
    and l.relation in (
      with recursive parts as (
        select to_regclass($1)::oid as oid union all select inhrelid from pg_inherits join parts on inhparent = parts.oid)
      select oid from parts)`
