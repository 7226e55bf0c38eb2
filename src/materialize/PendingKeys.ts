import { Effect } from "effect"
import type { Sql } from "../connections/Postgres.ts"
import type { PostgresError } from "../connections/PostgresError.ts"
import { beginning, type Cursor } from "./Comparison.ts"
import type { StateTables } from "./StateTables.ts"

/** Keys by target table. */
export type KeysByTarget = ReadonlyMap<string, ReadonlyArray<string>>

/**
 * Keys whose row could not be written because the hub held it. They commit with the batch that would have written them, and
 * are tried again until they are written: the aggregate is late for them, never wrong for good.
 */
export const makePendingKeys = (tables: StateTables, pipeline: string) => ({
  /** `rested`: those whose row is to be inserted even if it was there and is missing; `seconds`: not to be tried before. What is pending already stays so. */
  add: (sql: Sql, held: KeysByTarget, { rested = () => false, seconds = 0 }: { readonly rested?: (target: string, key: string) => boolean; readonly seconds?: number } = {}) => {
    const { keys, targets } = flat(held)
    return keys.length === 0 ? Effect.void : sql.query(
      "Noting pending keys",
      `insert into ${tables.pending} (pipeline, target, key, rested, since) select $1, n.*, now() + $5 * interval '1 second'
       from unnest($2::text[], $3::text[], $4::boolean[]) n on conflict do nothing`,
      [pipeline, targets, keys, keys.map((key, index) => rested(targets[index]!, key)), seconds]
    )
  },

  /** Every group of a kind. */
  addEvery: (sql: Sql, target: string, group: string) =>
    sql.query(
      "Noting pending keys",
      `insert into ${tables.pending} (pipeline, target, key, rested) select $1, $2, key, true from ${tables.groups} where group_name = $3
       order by key on conflict do nothing`,
      [pipeline, target, group]
    ),

  /** From now on every row of the pipeline is to be compared with its state, see `Comparison`. Until that is done, it counts as a pending key. */
  addEverything: (sql: Sql) =>
    sql.query(
      "Noting that all is to be compared",
      `insert into ${tables.pending} (pipeline, target, key) values ($1, '${everything}', $2)`,
      [pipeline, textOf({ ...beginning, differing: 0 })]
    ),

  /** SQL of whether that is still going on; `$1` is the pipeline. Rows that the old state wrote last look as if somebody else had. */
  isComparing: `exists (select from ${tables.pending} where pipeline = $1 and target = '${everything}')`,

  /** Locks what `addEverything` noted, unless somebody else is at it; undefined: there is nothing to do. */
  takeEverything: (sql: Sql): Effect.Effect<Everything | undefined, PostgresError> =>
    Effect.map(
      sql.query<{ key: string }>("Taking what is to be compared", `select key from ${tables.pending} where pipeline = $1 and target = '${everything}' for update skip locked`, [pipeline]),
      ([row]) => row === undefined ? undefined : parse(row.key)
    ),

  /** Notes how far the comparison is; undefined: done. */
  settleEverything: (sql: Sql, left: Everything | undefined) =>
    left === undefined
      ? sql.query("Noting that all is compared", `delete from ${tables.pending} where pipeline = $1 and target = '${everything}'`, [pipeline])
      : sql.query("Noting what is compared", `update ${tables.pending} set key = $2 where pipeline = $1 and target = '${everything}'`, [pipeline, textOf(left)]),

  /** Locks some of the oldest that nobody else is trying: no more than one transaction may write, so that none is put off untried. `rested`: some of them. */
  take: (sql: Sql, limit: number): Effect.Effect<{ readonly keys: KeysByTarget; readonly rested: KeysByTarget }, PostgresError> =>
    Effect.map(
      sql.query<{ target: string; key: string; rested: boolean }>(
        "Taking pending keys",
        `select target, key, rested from ${tables.pending} where pipeline = $1 and target <> '${everything}' and since <= now() order by since limit $2 for update skip locked`,
        [pipeline, limit]
      ),
      (rows) => ({ keys: byTarget(rows), rested: byTarget(rows.filter(({ rested }) => rested)) })
    ),

  /**
   * Forgets what was taken; what can't be written now either is added again, at the end of the line. Only under the locks of the keys'
   * groups: who notes one of these keys has them, too, and would else wait for us while it holds the hub's rows.
   */
  forget: (sql: Sql, taken: KeysByTarget) => {
    const { keys, targets } = flat(taken)
    return sql.query(
      "Forgetting pending keys",
      `delete from ${tables.pending} p using unnest($2::text[], $3::text[]) as n(target, key) where p.pipeline = $1 and p.target = n.target and p.key = n.key`,
      [pipeline, targets, keys]
    )
  }
})

/** How far the comparison of everything is, and how many rows it has found to differ. */
export interface Everything extends Cursor {
  readonly differing: number
}

/** In place of a table's name, which it can't be. */
const everything = "*"

const textOf = ({ differing, last, part }: Everything): string => `${part} ${differing} ${last}`

const parse = (text: string): Everything => {
  const [part, differing] = text.split(" ", 2) as [string, string]
  return { part: Number(part), differing: Number(differing), last: text.slice(part.length + differing.length + 2) }
}

const byTarget = (rows: ReadonlyArray<{ readonly target: string; readonly key: string }>): KeysByTarget =>
  new Map([...Map.groupBy(rows, ({ target }) => target)].map(([target, ofTarget]) => [target, ofTarget.map(({ key }) => key)]))

/** Sorted, as `addEvery` is: two that note the same keys wait for each other, and never in a circle. */
const flat = (byTarget: KeysByTarget): { readonly targets: ReadonlyArray<string>; readonly keys: ReadonlyArray<string> } => {
  const pairs = [...byTarget].flatMap(([target, keys]) => keys.map((key) => [target, key] as const))
  pairs.sort(([, a], [, b]) => (a < b ? -1 : a > b ? 1 : 0))
  return { targets: pairs.map(([target]) => target), keys: pairs.map(([, key]) => key) }
}

export const countOf = (keys: KeysByTarget): number => {
  let sum = 0
  for (const ofTarget of keys.values()) sum += ofTarget.length
  return sum
}
