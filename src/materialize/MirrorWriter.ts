import { Effect } from "effect"
import type { Sql } from "../connections/Postgres.ts"
import type { PostgresError } from "../connections/PostgresError.ts"
import { quoteIdentifier } from "../domain/SqlIdentifier.ts"
import * as TableName from "../domain/TableName.ts"
import type { Columns, EntrySource, Mirror, Pipeline } from "./Pipeline.ts"
import type { StateTables } from "./StateTables.ts"
import { type Cell, makeTargetWriter, type PlannedChange } from "./TargetWriter.ts"
import { makeUnclaimedRows } from "./UnclaimedRows.ts"

/** The mirror row of one entry as it should be; null: there is none. */
export interface WantedMirror {
  readonly source: number
  readonly key: string
  readonly columns: Columns | null
  /** It was read by a snapshot, or not written when it came: an equal row that nobody manages may be its copy, made before us. */
  readonly mayBeThere: boolean
}

/**
 * Keeps one row per entry under an integer key. The integer comes from the table's own sequence, is remembered in
 * `surrogates` for good, and so comes back when the entry does.
 */
export const makeMirrorWriter = (pipeline: Pipeline, mirror: Mirror, tables: StateTables) => {
  const writer = makeTargetWriter(mirror.target)
  const unclaimed = makeUnclaimedRows(pipeline, mirror, tables)
  const table = TableName.toSql(mirror.target.table)
  const [id] = Object.keys(mirror.target.key) as [string]
  const sourceName = (source: number) => TableName.format(pipeline.sources[source]!.table)

  const known = Effect.fnUntraced(function*(sql: Sql, rows: ReadonlyArray<WantedMirror>) {
    const found = yield* sql.query<{ ordinal: bigint; id: bigint }>(
      "Looking up surrogates",
      `select n.ordinal, s.id from unnest($2::text[], $3::text[]) with ordinality as n(source, key, ordinal)
       cross join lateral (select id from ${tables.surrogates} s where s.pipeline = $1 and s.source = n.source and s.key = n.key offset 0) s`, // a look-up each
      [pipeline.name, rows.map((row) => sourceName(row.source)), rows.map((row) => row.key)]
    )
    return new Map(found.map((row) => [rows[Number(row.ordinal) - 1]!, row.id]))
  })

  /** Says which integers were kept: one that another instance has given away meanwhile, or that is no longer `free`, is not. */
  const remember = (sql: Sql, rows: ReadonlyArray<WantedMirror>, ids: string, free: string, parameters: ReadonlyArray<unknown>) =>
    Effect.map(
      sql.query<{ ordinal: bigint; id: bigint }>(
        "Assigning surrogates",
        `with n as (select source, key, ordinal, ${ids} as id from unnest($2::text[], $3::text[]) with ordinality as n(source, key, ordinal)),
         kept as (insert into ${tables.surrogates} (pipeline, source, key, id) select $1, source, key, id from n where ${free} order by ordinal
           on conflict do nothing returning source, key, id)
         select n.ordinal, kept.id from kept join n using (source, key)`,
        [pipeline.name, rows.map((row) => sourceName(row.source)), rows.map((row) => row.key), ...parameters]
      ),
      (kept) => kept.map((row) => [rows[Number(row.ordinal) - 1]!, row.id] as const)
    )

  const adopt = Effect.fnUntraced(function*(sql: Sql, rows: ReadonlyArray<WantedMirror>) {
    const found = yield* unclaimed.equalTo(sql, rows)
    if (found.length === 0) return []
    yield* unclaimed.claim(sql, found)
    return yield* remember(sql, found.map(({ row }) => row), "($4::bigint[])[ordinal]", "true", [found.map(({ id }) => id)])
  })

  /** From the table's own sequence; integers that it gave already (it was set back, or somebody wrote past it) are passed over. */
  const assign = Effect.fnUntraced(function*(sql: Sql, rows: ReadonlyArray<WantedMirror>) {
    const assigned: Array<readonly [WantedMirror, bigint]> = []
    const isFree = `not exists (select from ${table} t where t.${quoteIdentifier(id)} = n.id offset 0)` // a look-up each
    for (let left = rows; left.length > 0; left = without(left, assigned)) {
      assigned.push(...yield* remember(sql, left, "nextval((select pg_get_serial_sequence($4, $5)::regclass))", isFree, [table, id]))
    }
    return assigned
  })

  /** Adds the columns that are copied from the source rows themselves: they may be large, and state keeps no copy. */
  const carried = Effect.fnUntraced(function*(sql: Sql, rows: ReadonlyArray<WantedMirror>) {
    const complete: Array<WantedMirror> = []
    for (const [index, source] of pipeline.sources.entries()) {
      const ofSource = rows.filter((row) => row.source === index)
      if (ofSource.length === 0) continue
      const copies = yield* copy(sql, source as EntrySource, ofSource.map((row) => row.key))
      for (const row of ofSource) complete.push({ ...row, columns: { ...row.columns, ...copies.get(row.key) } })
    }
    return complete
  })

  return {
    target: mirror.target,

    /** What would have to be written, by the row's name in `pending`. Writes nothing of the hub. */
    compare: Effect.fnUntraced(function*(sql: Sql, rows: ReadonlyArray<WantedMirror>) {
      const ids = yield* known(sql, rows)
      const wanted = yield* carried(sql, rows.filter((row) => row.columns !== null))
      const idOf = new Map([...ids].map(([row, id]) => [mirrorKey(row), String(id)]))
      const fresh = wanted.filter((row) => !idOf.has(mirrorKey(row)))
      const adoptable = new Set((yield* unclaimed.equalTo(sql, fresh.filter((row) => row.mayBeThere))).map(({ row }) => mirrorKey(row)))
      const absent = fresh.map(mirrorKey).filter((key) => !adoptable.has(key)).map((key): Cell => ({ key, column: null, stored: null, wanted: null }))
      const there = wanted.flatMap((row) => {
        const id = idOf.get(mirrorKey(row))
        return id === undefined ? [] : [{ name: mirrorKey(row), key: id, columns: row.columns!, required: true, now: 0n }]
      })
      const nameOf = new Map(there.map(({ key, name }) => [key, name]))
      const cells = (yield* writer.compare(sql, there)).map((cell) => ({ ...cell, key: nameOf.get(cell.key)! }))
      const gone = new Map(rows.flatMap((row) => row.columns === null && ids.has(row) ? [[String(ids.get(row)), mirrorKey(row)] as const] : []))
      const left = (yield* writer.present(sql, [...gone.keys()])).map((id): Cell => ({ key: gone.get(id)!, column: null, stored: id, wanted: null }))
      return [...absent, ...cells, ...left]
    }),

    /** Gives every row that is to be there its integer, and finds what is to be done, before anything of the hub is held. */
    plan: Effect.fnUntraced(function*(sql: Sql, rows: ReadonlyArray<WantedMirror>): Effect.fn.Return<MirrorPlan, PostgresError> {
      const ids = yield* known(sql, rows)
      const wanted = yield* carried(sql, rows.filter((row) => row.columns !== null))
      const byKey = new Map([...ids].map(([row, id]) => [mirrorKey(row), id]))
      const fresh = wanted.filter((row) => !byKey.has(mirrorKey(row)))
      for (const [row, id] of yield* adopt(sql, fresh.filter((row) => row.mayBeThere))) byKey.set(mirrorKey(row), id)
      for (const [row, id] of yield* assign(sql, fresh.filter((row) => !byKey.has(mirrorKey(row))))) byKey.set(mirrorKey(row), id)

      const nameOf = new Map([...byKey].map(([key, id]) => [String(id), key]))
      const upserts = wanted.map((row) => ({ key: String(byKey.get(mirrorKey(row))), columns: row.columns!, required: true, now: 0n }))
      const { changes } = yield* writer.plan(sql, upserts)
      const gone = rows.flatMap((row) => row.columns === null && ids.has(row) ? [String(ids.get(row))] : [])
      const removals = (yield* writer.present(sql, gone)).map((id): PlannedMirror => ({ name: nameOf.get(id)!, id, change: undefined }))
      const upsertsOf = (isMissing: boolean) =>
        changes.filter((change) => change.isMissing === isMissing).map((change): PlannedMirror => ({ name: nameOf.get(change.key)!, id: change.key, change }))
      return { missing: upsertsOf(true), changes: [...upsertsOf(false), ...removals] }
    }),

    /** Carries out what was planned. */
    write: Effect.fnUntraced(function*(sql: Sql, plan: ReadonlyArray<PlannedMirror>): Effect.fn.Return<MirrorOutcome, PostgresError> {
      const upserted = yield* writer.write(sql, plan.flatMap(({ change }) => change === undefined ? [] : [change]))
      const removed = yield* writer.remove(sql, plan.flatMap(({ change, id }) => change === undefined ? [id] : []))
      const nameOf = new Map(plan.map(({ id, name }) => [id, name]))
      return {
        written: upserted.changed.length + removed.changed.length,
        held: [...upserted.held, ...removed.held].map((id) => nameOf.get(id)!)
      }
    })
  }
}

/** A mirror row to be written, or (without a change) to be deleted. `name`: in `pending`; `id`: its integer, as text. */
interface PlannedMirror {
  readonly name: string
  readonly id: string
  readonly change: PlannedChange | undefined
}

export interface MirrorPlan {
  /** To be inserted. Nobody else knows of their integers, so nobody waits for them. */
  readonly missing: ReadonlyArray<PlannedMirror>
  /** Updates and deletions. */
  readonly changes: ReadonlyArray<PlannedMirror>
}

export interface MirrorOutcome {
  /** Rows inserted, updated or deleted. */
  readonly written: number
  /** Names of those that somebody holds. */
  readonly held: ReadonlyArray<string>
}

const without = (rows: ReadonlyArray<WantedMirror>, done: ReadonlyArray<readonly [WantedMirror, bigint]>): ReadonlyArray<WantedMirror> => {
  const found = new Set(done.map(([row]) => row))
  return rows.filter((row) => !found.has(row))
}

export type MirrorWriter = ReturnType<typeof makeMirrorWriter>

/** How a mirror row is named in `pending`: source index and key. */
export const mirrorKey = ({ key, source }: { readonly source: number; readonly key: string }): string => `${source} ${key}`

export const parseMirrorKey = (text: string): { readonly source: number; readonly key: string } => {
  const space = text.indexOf(" ")
  return { source: Number(text.slice(0, space)), key: text.slice(space + 1) }
}

/** Reads the carried columns of source rows by key, as text. A row that is gone has none. */
const copy = Effect.fnUntraced(function*(sql: Sql, source: EntrySource, keys: ReadonlyArray<string>) {
  if (source.carry === undefined) return new Map<string, Columns>()
  const columns = Object.entries(source.carry.columns)
  const key = quoteIdentifier(source.carry.key.column)
  const rows = yield* sql.query<{ key: string; copied: ReadonlyArray<string | null> }>(
    `Reading ${TableName.format(source.table)}`,
    `select t.${key}::text as key, array[${columns.map(([, from]) => `t.${quoteIdentifier(from)}::text`).join(", ")}] as copied
     from ${TableName.toSql(source.table)} t where t.${key} = any($1::${source.carry.key.type}[])`,
    [keys]
  )
  return new Map<string, Columns>(rows.map((row) => [row.key, Object.fromEntries(columns.map(([column], index) => [column, row.copied[index]!]))]))
})
