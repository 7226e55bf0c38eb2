import { Duration, Effect } from "effect"
import type { Sql } from "../connections/Postgres.ts"
import type { PostgresError } from "../connections/PostgresError.ts"
import * as TableName from "../domain/TableName.ts"

/** Whether a transaction is open that has written to the table, or that has committed and is not seen yet. */
export const anyOf = (sql: Sql, table: TableName.TableName): Effect.Effect<boolean, PostgresError> =>
  Effect.map(writers(sql, table), (found) => found.length > 0)

/**
 * Waits until every transaction has ended that has written to the table by now, as CREATE INDEX CONCURRENTLY does. Two kinds of them could
 * be missing in what is read now, and in the stream after it: those that began before the table was in the publication, and those that are
 * streamed while others do not see them yet, because their commit waits for a standby. A transaction keeps its locks until others see it.
 * `waiting` is told once, if there are any.
 */
export const awaitEnd = Effect.fnUntraced(function*<E, R>(
  sql: Sql,
  table: TableName.TableName,
  waiting: (count: number) => Effect.Effect<void, E, R>
): Effect.fn.Return<void, E | PostgresError, R> {
  const known = new Set(yield* writers(sql, table))
  if (known.size === 0) return
  for (let delay = firstDelayMillis, polls = 0;; delay = Math.min(delay * 2, maxDelayMillis), polls++) {
    const open = (yield* writers(sql, table)).filter((holder) => known.has(holder))
    if (open.length === 0) return
    if (polls === toldAfterPolls) yield* waiting(open.length)
    yield* Effect.sleep(Duration.millis(delay))
  }
})

const firstDelayMillis = 5
const maxDelayMillis = 500
/** Some 300 ms: what ends sooner is nobody's concern. */
const toldAfterPolls = 6

/** Their virtual transaction ids. */
const writers = (sql: Sql, table: TableName.TableName): Effect.Effect<ReadonlyArray<string>, PostgresError> =>
  Effect.map(
    sql.query<{ holder: string }>(`Looking for transactions that write to ${TableName.format(table)}`, statement, [TableName.toSql(table)]),
    (rows) => rows.map(({ holder }) => holder)
  )

/**
 * Locks that a transaction takes to change rows or the table itself; of a partitioned table those on any part of it. From `pg_inherits`, because
 * `pg_partition_tree` would wait for a lock that a migration holds.
 */
const statement = `
  select distinct l.virtualtransaction as holder
  from pg_locks l
  where l.locktype = 'relation' and l.granted and l.database = (select oid from pg_database where datname = current_database())
    and l.mode in ('RowExclusiveLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock')
    and l.relation in (
      with recursive parts as (
        select to_regclass($1)::oid as oid union all select inhrelid from pg_inherits join parts on inhparent = parts.oid)
      select oid from parts)`
