import { Effect } from "effect"
import type { Sql } from "../connections/Postgres.ts"
import type { PostgresError } from "../connections/PostgresError.ts"
import { emptyState, GroupAccumulator } from "./GroupState.ts"
import type { StateTables } from "./StateTables.ts"

export interface GroupKey {
  readonly group: string
  readonly key: string
}

/** The group's place among those asked for, from 1, and what is stored of it: no statement writes back a key that it was given. */
interface GroupRow {
  n: bigint
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
        // Lateral: a look-up per key, in the order given. A join of some thousand keys would read the whole table.
        `select n.n, g.* from unnest($1::text[], $2::text[]) with ordinality as n(g, k, n) cross join lateral (
           select state, evaluated_at, wake_at, managed, standing from ${tables.groups} where group_name = n.g and key = n.k for no key update) g`,
        parameters
      )
      return new Map(rows.map((row) => {
        const { group, key } = keys[Number(row.n) - 1]!
        const standing = row.standing === null ? null : JSON.parse(row.standing)
        return [groupId(group, key), new GroupAccumulator(group, key, row.state, row.evaluated_at, row.wake_at, row.managed, standing)]
      }))
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
      const counts = yield* sql.query<{ count: number }>( // as they are inserted: in the order of `n`
        "Writing bags",
        `insert into ${tables.bags} as b (group_name, key, bag, member, count)
         select g, k, bag, member, delta from unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::int[]) with ordinality as u(g, k, bag, member, delta, n) order by n
         on conflict (group_name, key, bag, member) do update set count = b.count + excluded.count returning b.count`,
        [
          deltas.map((d) => d.group.group),
          deltas.map((d) => d.group.key),
          deltas.map((d) => d.bag),
          deltas.map((d) => d.member),
          deltas.map((d) => d.delta)
        ]
      )
      const members = deltas.map((member, index) => ({ ...member, count: counts[index]!.count }))
      const lostMax = settle(members)
      yield* removeEmptyMembers(sql, members.filter(({ count }) => count <= 0))
      yield* findMax(sql, lostMax)
    })

    function removeEmptyMembers(sql: Sql, rows: ReadonlyArray<Member>) {
      return rows.length === 0 ? Effect.void : sql.query(
        "Removing members of bags",
        `delete from ${tables.bags} b using unnest($1::text[], $2::text[], $3::text[], $4::text[]) as n(group_name, key, bag, member)
         where b.group_name = n.group_name and b.key = n.key and b.bag = n.bag and b.member = n.member`,
        [rows.map((r) => r.group.group), rows.map((r) => r.group.key), rows.map((r) => r.bag), rows.map((r) => r.member)]
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

/** A member of a bag that has changed. */
interface Member {
  readonly group: GroupAccumulator
  readonly bag: string
  readonly member: string
  readonly delta: number
  /** How many times it is there now. */
  readonly count: number
}

interface LostMax {
  readonly group: GroupAccumulator
  readonly bag: string
}

/** Counts the members that came and went; returns the bags whose greatest member went, for it must be looked up. */
const settle = (members: ReadonlyArray<Member>): Array<LostMax> => {
  const lost = new Map<GroupAccumulator, Map<string, LostMax>>()
  for (const { bag, count, delta, group, member } of members) {
    const { distinct, max } = group.bag(bag)
    const came = count > 0 && count - delta <= 0
    const went = count <= 0 && count - delta > 0
    group.settleBag(bag, distinct + (came ? 1 : 0) - (went ? 1 : 0), came && (max === null || member > max) ? member : max)
    if (went && member === max) lost.set(group, (lost.get(group) ?? new Map<string, LostMax>()).set(bag, { group, bag }))
  }
  return [...lost.values()].flatMap((ofGroup) => [...ofGroup.values()]).filter(({ bag, group }) => group.bag(bag).distinct > 0)
}
