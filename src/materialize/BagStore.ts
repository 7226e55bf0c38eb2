import { Effect } from "effect"
import type { Sql } from "../connections/Postgres.ts"
import type { PostgresError } from "../connections/PostgresError.ts"
import type { GroupAccumulator } from "./GroupState.ts"
import type { StateTables } from "./StateTables.ts"

/** The members of groups' bags. Whoever holds a group's lock is alone with them: what is found absent stays so until it is written. */
export const makeBagStore = (tables: StateTables) => {
  /** How many times each member is there already; those of a group that has just been made are not. */
  const countsOf = (sql: Sql, members: ReadonlyArray<Delta>): Effect.Effect<ReadonlyMap<Delta, number>, PostgresError> => {
    const asked = members.filter(({ group }) => !group.isNew)
    return asked.length === 0 ? Effect.succeed(new Map()) : Effect.map(
      sql.query<{ n: bigint; count: number }>(
        "Reading bags",
        // Lateral, and closed to the planner: a look-up per member, where a join would read the whole of a large table.
        `select n.n, b.count from unnest($1::text[], $2::text[], $3::text[], $4::text[]) with ordinality as n(g, k, bag, member, n)
         cross join lateral (select count from ${tables.bags} b where b.group_name = n.g and b.key = n.k and b.bag = n.bag and b.member = n.member offset 0) b`,
        arraysOf(asked)
      ),
      (rows) => new Map(rows.map(({ count, n }) => [asked[Number(n) - 1]!, count]))
    )
  }

  const insert = (sql: Sql, members: ReadonlyArray<Member>) =>
    members.length === 0 ? Effect.void : sql.copy(
      "Adding to bags",
      `copy ${tables.bags} (group_name, key, bag, member, count) from stdin`,
      members.map(({ bag, count, group, member }) => [group.group, group.key, bag, member, count])
    )

  const update = (sql: Sql, members: ReadonlyArray<Member>) =>
    members.length === 0 ? Effect.void : sql.query(
      "Writing bags",
      `insert into ${tables.bags} (group_name, key, bag, member, count) select * from unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::int[])
       on conflict (group_name, key, bag, member) do update set count = excluded.count`,
      [...arraysOf(members), members.map(({ count }) => count)]
    )

  const remove = (sql: Sql, members: ReadonlyArray<Member>) =>
    members.length === 0 ? Effect.void : sql.query(
      "Removing members of bags",
      `delete from ${tables.bags} b using unnest($1::text[], $2::text[], $3::text[], $4::text[]) as n(group_name, key, bag, member)
       where b.group_name = n.group_name and b.key = n.key and b.bag = n.bag and b.member = n.member`,
      arraysOf(members)
    )

  const findMax = (sql: Sql, lost: ReadonlyArray<LostMax>) =>
    lost.length === 0 ? Effect.void : Effect.map(
      sql.query<{ n: bigint; member: string | null }>(
        "Reading the greatest of bags",
        `select n.n, (select b.member from ${tables.bags} b where b.group_name = n.group_name and b.key = n.key and b.bag = n.bag
           order by b.member desc limit 1) as member
         from unnest($1::text[], $2::text[], $3::text[]) with ordinality as n(group_name, key, bag, n)`,
        [lost.map(({ group }) => group.group), lost.map(({ group }) => group.key), lost.map(({ bag }) => bag)]
      ),
      (rows) => {
        for (const { member, n } of rows) {
          const { bag, group } = lost[Number(n) - 1]!
          group.settleBag(bag, group.bag(bag).distinct, member)
        }
      }
    )

  return {
    /** Writes what the batch changed in the bags of locked groups, and tells each group what its bags hold now. */
    write: Effect.fnUntraced(function*(sql: Sql, groups: ReadonlyArray<GroupAccumulator>): Effect.fn.Return<void, PostgresError> {
      const deltas = groups.flatMap(deltasOf)
      if (deltas.length === 0) return
      const counts = yield* countsOf(sql, deltas)
      const members = deltas.map((delta): Member => {
        const before = counts.get(delta) ?? 0
        return { ...delta, before, count: Math.max(0, before + delta.delta) }
      })
      const lostMax = settle(members)
      yield* insert(sql, members.filter(({ before, count }) => before === 0 && count > 0))
      yield* update(sql, members.filter(({ before, count }) => before > 0 && count > 0))
      yield* remove(sql, members.filter(({ before, count }) => before > 0 && count === 0))
      yield* findMax(sql, lostMax)
    })
  }
}

export type BagStore = ReturnType<typeof makeBagStore>

/** How many more times a member is there after the batch. */
interface Delta {
  readonly group: GroupAccumulator
  readonly bag: string
  readonly member: string
  readonly delta: number
}

interface Member extends Delta {
  readonly before: number
  /** How many times it is there now. */
  readonly count: number
}

interface LostMax {
  readonly group: GroupAccumulator
  readonly bag: string
}

const deltasOf = (group: GroupAccumulator): ReadonlyArray<Delta> => {
  const deltas: Array<Delta> = []
  for (const [bag, members] of group.bagDeltas) {
    for (const [member, delta] of members) deltas.push({ group, bag, member, delta })
  }
  return deltas
}

const arraysOf = (members: ReadonlyArray<Delta>) => [
  members.map(({ group }) => group.group),
  members.map(({ group }) => group.key),
  members.map(({ bag }) => bag),
  members.map(({ member }) => member)
]

/** Counts the members that came and went; returns the bags whose greatest member went, for it must be looked up. */
const settle = (members: ReadonlyArray<Member>): Array<LostMax> => {
  const lost = new Map<GroupAccumulator, Map<string, LostMax>>()
  for (const { bag, before, count, group, member } of members) {
    const { distinct, max } = group.bag(bag)
    const came = before === 0 && count > 0
    const went = before > 0 && count === 0
    group.settleBag(bag, distinct + (came ? 1 : 0) - (went ? 1 : 0), came && (max === null || member > max) ? member : max)
    if (went && member === max) lost.set(group, (lost.get(group) ?? new Map<string, LostMax>()).set(bag, { group, bag }))
  }
  return [...lost.values()].flatMap((ofGroup) => [...ofGroup.values()]).filter(({ bag, group }) => group.bag(bag).distinct > 0)
}
