import { Effect } from "effect"
import type { Sql } from "../connections/Postgres.ts"
import type { PostgresError } from "../connections/PostgresError.ts"
import { ByGroup, type GroupKey } from "./ByGroup.ts"
import { emptyState, GroupAccumulator } from "./GroupState.ts"
import type { StateTables } from "./StateTables.ts"

/** The group's place among those asked for, from 1, and what is stored of it: no statement writes back a key that it was given. */
interface GroupRow {
  n: bigint
  state: string
  evaluated_at: bigint
  wake_at: bigint | null
  managed: boolean
  standing: string | null
}

const accumulatorOf = ({ group, key }: GroupKey, { evaluated_at, managed, standing, state, wake_at }: Omit<GroupRow, "n">): GroupAccumulator =>
  new GroupAccumulator(group, key, state, evaluated_at, wake_at, managed, standing === null ? null : JSON.parse(standing))

const arraysOf = (keys: ReadonlyArray<GroupKey>) => [keys.map(({ group }) => group), keys.map(({ key }) => key)]

/** Groups under lock. */
export const makeGroupStore = (tables: StateTables) => {
  const lockStored = (sql: Sql, keys: ReadonlyArray<GroupKey>) =>
    keys.length === 0 ? Effect.succeed([]) : sql.query<GroupRow>(
      "Locking groups",
      // Lateral: a look-up per key, in the order given. A join of some thousand keys would read the whole table.
      `select n.n, g.* from unnest($1::text[], $2::text[]) with ordinality as n(g, k, n) cross join lateral (
         select state, evaluated_at, wake_at, managed, standing from ${tables.groups} where group_name = n.g and key = n.k for no key update) g`,
      arraysOf(keys)
    )

  return {
    /**
     * Locks the groups, creating the absent ones, and reads them. `keys` must be in lock order, and come after
     * the links: one order in every transaction, so no deadlocks among ourselves. Two instances that see different halves of the
     * truth about a key therefore see each other's half (hard part 17).
     */
    lock: (sql: Sql, keys: ReadonlyArray<GroupKey>): Effect.Effect<ByGroup<GroupAccumulator>, PostgresError> =>
      keys.length === 0 ? Effect.succeed(new ByGroup()) : Effect.gen(function*() {
        const created = yield* sql.query<{ n: bigint }>(
          "Creating groups",
          `with n as (select * from unnest($1::text[], $2::text[]) with ordinality as n(g, k, n)),
           created as (insert into ${tables.groups} (group_name, key, state, evaluated_at) select g, k, '${emptyState}', 0 from n on conflict do nothing returning group_name, key)
           select n.n from created c join n on n.g = c.group_name and n.k = c.key`,
          arraysOf(keys)
        )
        const groups: Array<GroupAccumulator | undefined> = keys.map(() => undefined)
        for (const { n } of created) groups[Number(n) - 1] = GroupAccumulator.ofNothing(keys[Number(n) - 1]!)
        const stored = keys.flatMap((_, index) => groups[index] === undefined ? [index] : [])
        for (const { n, ...row } of yield* lockStored(sql, stored.map((index) => keys[index]!))) {
          const index = stored[Number(n) - 1]!
          groups[index] = accumulatorOf(keys[index]!, row)
        }
        const locked = new ByGroup<GroupAccumulator>()
        for (const group of groups) locked.set(group!, group!)
        return locked
      }),

    write: (sql: Sql, groups: ReadonlyArray<GroupAccumulator>) =>
      groups.length === 0 ? Effect.void : sql.query(
        "Writing groups",
        `update ${tables.groups} g set state = n.state, evaluated_at = n.evaluated_at, wake_at = n.wake_at, managed = n.managed, standing = n.standing
         from unnest($1::text[], $2::text[], $3::text[], $4::bigint[], $5::bigint[], $6::boolean[], $7::text[])
           as n(group_name, key, state, evaluated_at, wake_at, managed, standing)
         where g.group_name = n.group_name and g.key = n.key`,
        [
          groups.map((group) => group.group),
          groups.map((group) => group.key),
          groups.map((group) => group.toJson()),
          groups.map((group) => group.evaluatedAt),
          groups.map((group) => group.wakeAt),
          groups.map((group) => group.isManaged),
          groups.map((group) => group.standing === null ? null : JSON.stringify(group.standing))
        ]
      ),

    /** Locks some groups that time alone has changed by `now`, the longest overdue first; leaves those that somebody else has. */
    takeDue: (sql: Sql, now: bigint, limit: number): Effect.Effect<ReadonlyArray<GroupKey>, PostgresError> =>
      Effect.map(
        sql.query<{ group_name: string; key: string }>(
          "Taking due groups",
          `select group_name, key from ${tables.groups} where wake_at <= $1 order by wake_at limit $2 for no key update skip locked`,
          [now, limit]
        ),
        (rows) => rows.map((row) => ({ group: row.group_name, key: row.key }))
      ),

    /** When the next group changes by time alone; null: none does. */
    nextDue: (sql: Sql): Effect.Effect<bigint | null, PostgresError> =>
      Effect.map(
        sql.query<{ at: bigint | null }>("Reading when groups are due", `select min(wake_at) as at from ${tables.groups}`),
        ([row]) => row!.at
      ),

    /** Groups that were created to be locked and turned out to hold nothing. */
    removeUnused: (sql: Sql, groups: ReadonlyArray<GroupKey>) =>
      groups.length === 0 ? Effect.void : sql.query(
        "Removing unused groups",
        `delete from ${tables.groups} g using unnest($1::text[], $2::text[]) as n(group_name, key)
         where g.group_name = n.group_name and g.key = n.key and g.evaluated_at = 0`,
        [groups.map((group) => group.group), groups.map((group) => group.key)]
      )
  }
}

export type GroupStore = ReturnType<typeof makeGroupStore>
