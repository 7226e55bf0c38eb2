import { Effect } from "effect"
import type { Sql } from "../connections/Postgres.ts"
import type { PostgresError } from "../connections/PostgresError.ts"
import { quoteIdentifier } from "../domain/SqlIdentifier.ts"
import * as TableName from "../domain/TableName.ts"
import type { Columns, Mirror, Pipeline } from "./Pipeline.ts"
import type { StateTables } from "./StateTables.ts"

/**
 * Rows of a mirror's table that nobody manages: copies that another writer made, before us. They are listed by what is in them, each looked at once,
 * so that a batch costs the same however many rows there are (the table has no index for it, and is not ours to index).
 */
export const makeUnclaimedRows = (pipeline: Pipeline, mirror: Mirror, tables: StateTables) => {
  const table = TableName.toSql(mirror.target.table)
  const id = quoteIdentifier(Object.keys(mirror.target.key)[0]!)
  const columns = Object.entries(mirror.target.columns)
  const list = (prefix: string) => columns.map(([column]) => `${prefix}${quoteIdentifier(column)}`).join(", ")
  const hash = (prefix: string) => `hash_record_extended(row(${list(prefix)}), 0)` // `is not distinct from` alone can't be hashed
  const isUnmanaged = `not exists (select from ${tables.surrogates} s where s.pipeline = $1 and s.id = t.${id})`
  const same = columns.map(([column]) => `w.${quoteIdentifier(column)} is not distinct from t.${quoteIdentifier(column)}`).join(" and ")

  /**
   * Lists rows above the highest integer that was looked at before. Whoever does so keeps others from it until his transaction ends: none of them
   * can take what he takes. He has all his locks on groups then, so nobody waits in a circle.
   */
  const listNew = Effect.fnUntraced(function*(sql: Sql) {
    const [row] = yield* sql.query<{ listed_to: bigint }>(
      "Locking the list of unclaimed rows",
      `insert into ${tables.unclaimedTo} as u (pipeline) values ($1) on conflict (pipeline) do update set listed_to = u.listed_to returning listed_to`,
      [pipeline.name]
    )
    // In a statement of its own: the one before sees what was there before it waited.
    const [found] = yield* sql.query<{ any: boolean }>(
      `Listing rows of ${TableName.format(mirror.target.table)}`,
      `with listed as (insert into ${tables.unclaimed} (pipeline, hash, id)
         select $1, ${hash("t.")}, t.${id} from ${table} t where t.${id} > $2::bigint and ${isUnmanaged} on conflict do nothing returning 1),
       moved as (update ${tables.unclaimedTo} set listed_to = greatest($2::bigint, (select max(t.${id}) from ${table} t)) where pipeline = $1)
       select exists (select from listed) or exists (select from ${tables.unclaimed} where pipeline = $1) as any`,
      [pipeline.name, row!.listed_to]
    )
    return found!.any
  })

  return {
    /**
     * The integers of unclaimed rows that equal these in every column, and which of these each does: the n-th of equal wanted rows gets the n-th of equal
     * stored ones, so that none is given away twice. Locks the list.
     */
    equalTo: Effect.fnUntraced(function*<Row extends { readonly columns: Columns | null }>(
      sql: Sql,
      rows: ReadonlyArray<Row>
    ): Effect.fn.Return<ReadonlyArray<readonly [Row, bigint]>, PostgresError> {
      if (rows.length === 0 || !(yield* listNew(sql))) return []
      const found = yield* sql.query<{ ordinal: bigint; id: bigint }>(
        `Adopting rows of ${TableName.format(mirror.target.table)}`,
        `with w as (select w.*, ${hash("w.")} as hash, row_number() over (partition by ${hash("w.")} order by ordinal) as turn
           from unnest(${columns.map(([, type], index) => `$${index + 2}::${type}[]`).join(", ")}) with ordinality as w(${list("")}, ordinal)),
         t as (select t.*, u.hash, row_number() over (partition by u.hash order by t.${id}) as turn
           from (select distinct hash from w) h
           cross join lateral (select u.hash, u.id from ${tables.unclaimed} u where u.pipeline = $1 and u.hash = h.hash offset 0) u
           cross join lateral (select * from ${table} t where t.${id} = u.id offset 0) t
           where ${hash("t.")} = u.hash and ${isUnmanaged})
         select w.ordinal, t.${id}::bigint as id from w join t on w.hash = t.hash and w.turn = t.turn and ${same}`,
        [pipeline.name, ...columns.map(([column]) => rows.map((row) => row.columns![column] ?? null))]
      )
      return found.map((row) => [rows[Number(row.ordinal) - 1]!, row.id] as const)
    })
  }
}
