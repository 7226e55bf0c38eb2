import { Effect } from "effect"
import type { Sql } from "../connections/Postgres.ts"
import type { PostgresError } from "../connections/PostgresError.ts"
import { emptyState, GroupAccumulator } from "./GroupState.ts"
import type { StateTables } from "./StateTables.ts"

export interface GroupKey {
  readonly group: string
  readonly key: string
}

interface GroupRow {
  group_name: string
  key: string
  state: string
  evaluated_at: bigint
  wake_at: bigint | null
  managed: boolean
  standing: string | null
}

/** One text for a group's key, for maps and for the order of locks. */
export const groupId = (group: string, key: string): string => `${group}\0${key}`

/** Groups under lock, and the members of their bags. */
export const makeGroupStore = (tables: StateTables) => ({
  /**
   * Locks the groups, creating the absent ones, and reads them, by `groupId`. `keys` must be sorted by `groupId` and come after
   * the links: one order in every transaction, so no deadlocks among ourselves. Two instances that see different halves of the
   * truth about a key therefore see each other's half (hard part 17).
   */
  lock: (sql: Sql, keys: ReadonlyArray<GroupKey>): Effect.Effect<Map<string, GroupAccumulator>, PostgresError> =>
    keys.length === 0 ? Effect.succeed(new Map()) : Effect.gen(function*() {
      const parameters = [keys.map((key) => key.group), keys.map((key) => key.key)]
      yield* sql.query(
        "Creating groups",
        `insert into ${tables.groups} (group_name, key, state, evaluated_at)
         select g, k, '${emptyState}', 0 from unnest($1::text[], $2::text[]) as n(g, k) on conflict do nothing`,
        parameters
      )
      const rows = yield* sql.query<GroupRow>(
        "Locking groups",
        `select g.group_name, g.key, g.state, g.evaluated_at, g.wake_at, g.managed, g.standing
         from unnest($1::text[], $2::text[]) as n(g, k) join ${tables.groups} g on g.group_name = n.g and g.key = n.k
         order by g.group_name, g.key for no key update of g`,
        parameters
      )
      return new Map(rows.map((row) => [
        groupId(row.group_name, row.key),
        new GroupAccumulator(row.group_name, row.key, row.state, row.evaluated_at, row.wake_at, row.managed,
          row.standing === null ? null : JSON.parse(row.standing))
      ]))
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
    ),

  /** Writes what the batch changed in the bags of locked groups, and tells each group what its bags hold now. */
  writeBags: (sql: Sql, groups: ReadonlyArray<GroupAccumulator>): Effect.Effect<void, PostgresError> => {
    const deltas = groups.flatMap((group) =>
      [...group.bagDeltas].flatMap(([bag, members]) => [...members].map(([member, delta]) => ({ group, bag, member, delta })))
    )
    if (deltas.length === 0) return Effect.void
    return Effect.gen(function*() {
      const rows = yield* sql.query<BagRow>(
        "Writing bags",
        `with n as (select * from unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::int[]) as n(group_name, key, bag, member, delta)),
         written as (
           insert into ${tables.bags} as b (group_name, key, bag, member, count) select group_name, key, bag, member, delta from n
           on conflict (group_name, key, bag, member) do update set count = b.count + excluded.count
           returning b.group_name, b.key, b.bag, b.member, b.count)
         select written.*, n.delta from written join n using (group_name, key, bag, member)`,
        [
          deltas.map((d) => d.group.group),
          deltas.map((d) => d.group.key),
          deltas.map((d) => d.bag),
          deltas.map((d) => d.member),
          deltas.map((d) => d.delta)
        ]
      )
      const byId = new Map(groups.map((group) => [groupId(group.group, group.key), group]))
      const lostMax = settle(rows, byId)
      yield* removeEmptyMembers(sql, rows.filter((row) => row.count <= 0))
      yield* findMax(sql, lostMax)
    })

    function removeEmptyMembers(sql: Sql, rows: ReadonlyArray<BagRow>) {
      return rows.length === 0 ? Effect.void : sql.query(
        "Removing members of bags",
        `delete from ${tables.bags} b using unnest($1::text[], $2::text[], $3::text[], $4::text[]) as n(group_name, key, bag, member)
         where b.group_name = n.group_name and b.key = n.key and b.bag = n.bag and b.member = n.member`,
        [rows.map((r) => r.group_name), rows.map((r) => r.key), rows.map((r) => r.bag), rows.map((r) => r.member)]
      )
    }

    function findMax(sql: Sql, lost: ReadonlyArray<LostMax>) {
      return lost.length === 0 ? Effect.void : Effect.map(
        sql.query<{ ordinal: bigint; member: string | null }>(
          "Reading the greatest of bags",
          `select n.ordinal, (select b.member from ${tables.bags} b where b.group_name = n.group_name and b.key = n.key and b.bag = n.bag
             order by b.member desc limit 1) as member
           from unnest($1::text[], $2::text[], $3::text[]) with ordinality as n(group_name, key, bag, ordinal)`,
          [lost.map((l) => l.group.group), lost.map((l) => l.group.key), lost.map((l) => l.bag)]
        ),
        (rows) => {
          for (const row of rows) {
            const { group, bag } = lost[Number(row.ordinal) - 1]!
            group.settleBag(bag, group.bag(bag).distinct, row.member)
          }
        }
      )
    }
  }
})

export type GroupStore = ReturnType<typeof makeGroupStore>

interface BagRow {
  group_name: string
  key: string
  bag: string
  member: string
  count: number
  delta: number
}

interface LostMax {
  readonly group: GroupAccumulator
  readonly bag: string
}

/** Counts the members that came and went; returns the bags whose greatest member went, for it must be looked up. */
const settle = (rows: ReadonlyArray<BagRow>, groups: ReadonlyMap<string, GroupAccumulator>): Array<LostMax> => {
  const lost = new Map<string, LostMax>()
  for (const row of rows) {
    const group = groups.get(groupId(row.group_name, row.key))!
    const { distinct, max } = group.bag(row.bag)
    const came = row.count > 0 && row.count - row.delta <= 0
    const went = row.count <= 0 && row.count - row.delta > 0
    group.settleBag(row.bag, distinct + (came ? 1 : 0) - (went ? 1 : 0), came && (max === null || row.member > max) ? row.member : max)
    if (went && row.member === max) lost.set(`${row.group_name}\0${row.key}\0${row.bag}`, { group, bag: row.bag })
  }
  return [...lost.values()].filter(({ bag, group }) => group.bag(bag).distinct > 0)
}
