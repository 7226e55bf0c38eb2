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
  const isManaged = (id: string) => `exists (select from ${tables.surrogates} s where s.pipeline = $1 and s.id = ${id} ${lookUp})`
  const same = columns.map(([column]) => `w.${quoteIdentifier(column)} is not distinct from t.${quoteIdentifier(column)}`).join(" and ")
  const name = TableName.format(mirror.target.table)
  /** Both ends: by one alone the planner would expect a third of the table, and read all of it. */
  const isBetween = (above: string, top: string) => `t.${id} > ${above} and t.${id} <= ${top}`

  const look = (sql: Sql) =>
    Effect.map(
      sql.query<Look>(
        `Looking for unclaimed rows of ${name}`,
        `select w.is_begun, case when w.top > w.listed_to then w.top end as top, n.any_new, exists (select from ${tables.unclaimed} where pipeline = $1) as any_listed
         from (select count(*) > 0 as is_begun, coalesce(max(listed_to), ${minimum}) as listed_to, (select max(${id})::bigint from ${table}) as top
           from ${tables.unclaimedTo} where pipeline = $1) w
         cross join lateral (select coalesce(bool_or(not ${isManaged("t.id")}), false) as any_new
           from (select t.${id} as id from ${table} t where ${isBetween("w.listed_to", "w.top")} ${lookUp}) t) n`,
        [pipeline.name]
      ),
      ([look]) => look!
    )

  /** Past rows that are managed, all of them, such as ours of the batch before. Waits for nobody: who has the watermark moves it himself. */
  const passOver = (sql: Sql, top: bigint) =>
    sql.query(
      `Passing over managed rows of ${name}`,
      `with free as materialized (select from ${tables.unclaimedTo} where pipeline = $1 for update skip locked)
       update ${tables.unclaimedTo} set listed_to = greatest(listed_to, $2) where pipeline = $1 and exists (select from free)`,
      [pipeline.name, top]
    )

  const listUpTo = (sql: Sql, top: bigint) =>
    sql.query(
      `Listing rows of ${name}`,
      `with new as materialized (select t.${id} as id, ${hash("t.")} as hash from ${table} t
         where ${isBetween(`(select listed_to from ${tables.unclaimedTo} where pipeline = $1)`, "$2")}),
       listed as (insert into ${tables.unclaimed} (pipeline, hash, id) select $1, hash, id from new where not ${isManaged("new.id")} on conflict do nothing)
       update ${tables.unclaimedTo} set listed_to = greatest(listed_to, $2) where pipeline = $1`,
      [pipeline.name, top]
    )

  /**
   * Lists rows above the highest integer that was looked at before. false: none is unclaimed, and nobody has waited for anybody. Else who comes here
   * keeps others from it until his transaction ends: none of them can take what he takes. He has all his locks on groups then, has given
   * no integer away and holds no row of the hub, so nobody waits in a circle.
   */
  const listNew = Effect.fnUntraced(function*(sql: Sql) {
    const { any_listed, any_new, is_begun, top } = yield* look(sql)
    if (!is_begun) yield* sql.query("Beginning a list of unclaimed rows", `insert into ${tables.unclaimedTo} (pipeline) values ($1) on conflict do nothing`, [pipeline.name])
    if (!any_new && !any_listed) {
      if (top !== null) yield* passOver(sql, top)
      return false
    }
    yield* sql.query("Locking the list of unclaimed rows", `select from ${tables.unclaimedTo} where pipeline = $1 for update`, [pipeline.name])
    // In a statement of its own: the one before sees what was there before it waited.
    if (top !== null) yield* listUpTo(sql, top)
    return true
  })

  return {
    /**
     * The integers of unclaimed rows that equal these in every column, and which of these each does: the n-th of equal wanted rows gets the n-th of equal
     * stored ones, so that none is given away twice. Locks the list.
     */
    equalTo: Effect.fnUntraced(function*<Row extends { readonly columns: Columns | null }>(
      sql: Sql,
      rows: ReadonlyArray<Row>
    ): Effect.fn.Return<ReadonlyArray<Unclaimed<Row>>, PostgresError> {
      if (rows.length === 0 || !(yield* listNew(sql))) return []
      const found = yield* sql.query<{ ordinal: bigint; hash: bigint; id: bigint }>(
        `Adopting rows of ${name}`,
        `with w as materialized (select w.*, ${hash("w.")} as hash, row_number() over (partition by ${hash("w.")} order by ordinal) as turn
           from unnest(${columns.map(([, type], index) => `$${index + 2}::${type}[]`).join(", ")}) with ordinality as w(${list("")}, ordinal)),
         u as materialized (select u.*, row_number() over (partition by u.hash order by u.id) as turn from (select hash, count(*) as times from w group by hash) h
           cross join lateral (select u.hash, u.id from ${tables.unclaimed} u where u.pipeline = $1 and u.hash = h.hash and not ${isManaged("u.id")}
             and exists (select from ${table} t where t.${id} = u.id and ${hash("t.")} = u.hash ${lookUp}) order by u.id limit h.times) u)
         select w.ordinal, u.hash, u.id from w join u using (hash, turn) cross join lateral (select from ${table} t where t.${id} = u.id and ${same} ${lookUp}) t`,
        [pipeline.name, ...columns.map(([column]) => rows.map((row) => row.columns![column] ?? null))]
      )
      return found.map(({ hash, id, ordinal }) => ({ row: rows[Number(ordinal) - 1]!, hash, id }))
    }),

    /** Takes rows that have been adopted off the list. */
    claim: (sql: Sql, rows: ReadonlyArray<Unclaimed<unknown>>) =>
      sql.query(
        "Claiming rows",
        `delete from ${tables.unclaimed} where ctid = any(array(select u.ctid from unnest($2::bigint[], $3::bigint[]) as n(hash, id)
           cross join lateral (select ctid from ${tables.unclaimed} u where u.pipeline = $1 and u.hash = n.hash and u.id = n.id ${lookUp}) u))`,
        [pipeline.name, rows.map(({ hash }) => hash), rows.map(({ id }) => id)]
      )
  }
}

/** An unclaimed row that equals a wanted one. */
interface Unclaimed<Row> {
  readonly row: Row
  readonly hash: bigint
  readonly id: bigint
}

interface Look {
  /** There is a watermark. */
  readonly is_begun: boolean
  /** The last integer of the table, if it is above the watermark. */
  readonly top: bigint | null
  /** Up to there is a row that nobody manages. */
  readonly any_new: boolean
  readonly any_listed: boolean
}

/** Closes a subquery to the planner: an index look-up per row, where a join would read the whole of a large table. */
const lookUp = "offset 0"

const minimum = -(2n ** 63n)
