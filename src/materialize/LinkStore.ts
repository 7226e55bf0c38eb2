import { Effect } from "effect"
import type { Sql } from "../connections/Postgres.ts"
import type { PostgresError } from "../connections/PostgresError.ts"
import type { Position } from "../domain/Position.ts"
import type { StateTables } from "./StateTables.ts"

export interface LinkWrite {
  readonly key: string
  /** null: the linked row is gone. */
  readonly value: string | null
  readonly partition: number
  readonly position: Position
}

/** What entries need of the rows that they are linked to. Absent and gone rows are null. */
export const makeLinkStore = (tables: StateTables) => ({
  /**
   * Locks the links of `keys`, creating the absent ones, and reads them. `keys` must be sorted: that order, the same in every
   * transaction, is what rules out deadlocks, and the lock is what makes a change of the link see every entry that hangs on it.
   */
  lock: (sql: Sql, keys: ReadonlyArray<string>): Effect.Effect<Map<string, string | null>, PostgresError> =>
    keys.length === 0 ? Effect.succeed(new Map()) : Effect.gen(function*() {
      yield* sql.query(
        "Creating links",
        `insert into ${tables.links} (key) select * from unnest($1::text[]) on conflict do nothing`,
        [keys]
      )
      const rows = yield* sql.query<{ key: string; value: string | null }>(
        "Locking links",
        `select l.key, l.value from ${tables.links} l where l.key = any($1) order by l.key for no key update`,
        [keys]
      )
      return new Map(rows.map((row) => [row.key, row.value]))
    }),

  write: (sql: Sql, links: ReadonlyArray<LinkWrite>) =>
    links.length === 0 ? Effect.void : sql.query(
      "Writing links",
      `update ${tables.links} l set value = n.value, partition = n.partition, epoch = n.epoch, commit_lsn = n.commit_lsn, ord = n.ord
       from unnest($1::text[], $2::text[], $3::int[], $4::int[], $5::bigint[], $6::bigint[])
         as n(key, value, partition, epoch, commit_lsn, ord) where l.key = n.key`,
      [
        links.map((link) => link.key),
        links.map((link) => link.value),
        links.map((link) => link.partition),
        links.map((link) => link.position.epoch),
        links.map((link) => link.position.commitLsn),
        links.map((link) => link.position.order)
      ]
    ),

  /** Some of the links last seen in a partition, at or before a position, that are not yet gone. */
  lastSeenIn: (sql: Sql, partition: number, upTo: Position, limit: number) =>
    Effect.map(
      sql.query<{ key: string }>(
        "Reading links",
        `select key from ${tables.links} where partition = $1 and value is not null
         and (epoch, commit_lsn, ord) <= ($2::int, $3::bigint, $4::bigint) limit $5`,
        [partition, upTo.epoch, upTo.commitLsn, upTo.order, limit]
      ),
      (rows) => rows.map((row) => row.key)
    )
})

export type LinkStore = ReturnType<typeof makeLinkStore>
