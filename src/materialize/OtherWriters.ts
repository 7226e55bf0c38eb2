import { Clock, Effect } from "effect"
import { applicationName, type Sql } from "../connections/Postgres.ts"
import type { PostgresError } from "../connections/PostgresError.ts"
import * as TableName from "../domain/TableName.ts"

/**
 * Whether somebody else's transaction has written to a table and is not over. Who archives deletes what refers to a row, and then the row: what we
 * insert in between is not among what it deleted, and makes its last statement fail. Nothing of a row that was not there is locked, but
 * its lock on the table is kept until it ends, also where it deleted nothing (Postgres manual, 13.3.1: ROW EXCLUSIVE).
 */
export const makeOtherWriters = (table: TableName.TableName) => {
  let since = 0
  let last = -Infinity

  return {
    /** True: better not insert now. After two minutes of nothing else, false: a transaction that is left open keeps nobody's row for longer. */
    areWriting: (sql: Sql): Effect.Effect<boolean, PostgresError> =>
      Effect.gen(function*() {
        const [found] = yield* sql.query<{ writing: boolean }>("Looking for other writers", statement, [TableName.toSql(table), applicationName])
        if (!found!.writing) {
          last = -Infinity
          return false
        }
        const now = yield* Clock.currentTimeMillis
        if (now - last > anewMillis) since = now
        last = now
        return now - since < patienceMillis
      })
  }
}

/** An archive of 50,000 rows took 68 s at most, on two cores under a load of 15. */
export const patienceMillis = 120_000
/**
 * Nobody looks while nothing has to be inserted, as when the archive took with it all that waited for it. What waits is tried again far
 * sooner than this (`pipelines.pendingRetrySeconds`), so who is met after longer is somebody else.
 */
export const anewMillis = 60_000

/** A prepared transaction has no session. */
const statement = `select exists (
  select from pg_locks l left join pg_stat_activity a using (pid)
  where l.locktype = 'relation' and l.relation = to_regclass($1) and l.database = (select oid from pg_database where datname = current_database())
    and l.mode = 'RowExclusiveLock' and l.granted and a.application_name is distinct from $2) as writing`
