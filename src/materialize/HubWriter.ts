import { Effect } from "effect"
import type { Sql } from "../connections/Postgres.ts"
import type { PostgresError } from "../connections/PostgresError.ts"
import * as TableName from "../domain/TableName.ts"
import { makeAnnouncer } from "./Announcer.ts"
import type { Folded } from "./Folding.ts"
import { groupId, type GroupKey } from "./GroupStore.ts"
import * as Holding from "./Holding.ts"
import { makeMirrorWriter, mirrorKey } from "./MirrorWriter.ts"
import type { Pipeline } from "./Pipeline.ts"
import type { StateTables } from "./StateTables.ts"
import { type Cell, makeTargetWriter } from "./TargetWriter.ts"

/** What became of the hub's rows. */
export interface HubOutcome {
  /** Rows inserted, updated or deleted. */
  readonly written: number
  /** Rows that wait for their parent to appear. */
  readonly orphans: number
  /** Rows that somebody else had written since. */
  readonly overwritten: number
  /** Keys of rows that somebody held, or that were too many for one transaction, by their table. */
  readonly held: ReadonlyMap<string, ReadonlyArray<string>>
}

export const nothingWritten: HubOutcome = { written: 0, orphans: 0, overwritten: 0, held: new Map() }

/** Writes what follows from state into the hub, with what there is to remember and to tell of it, in the caller's transaction. */
export const makeHubWriter = (pipeline: Pipeline, tables: StateTables) => {
  const groups = Object.entries(pipeline.groups)
  const writers = new Map(groups.map(([name, { target }]) => [name, makeTargetWriter(target)]))
  const announcers = new Map(groups.map(([name, group]) => [name, makeAnnouncer(tables, pipeline.name, group)]))
  const mirror = pipeline.mirror === undefined ? undefined : makeMirrorWriter(pipeline, pipeline.mirror, tables)

  /** A key once managed stays so, whatever becomes of the state. */
  const remember = (sql: Sql, { newlyManaged }: Folded) =>
    newlyManaged.length === 0 ? Effect.void : sql.query(
      "Remembering what is managed",
      `insert into ${tables.managed} (pipeline, target, key) select $1, * from unnest($2::text[], $3::text[]) on conflict do nothing`,
      [pipeline.name, newlyManaged.map(({ group }) => TableName.format(pipeline.groups[group]!.target.table)), newlyManaged.map(({ key }) => key)]
    )

  return {
    /** The instants (µs) that rows say they were evaluated for, by `groupId`. */
    evaluatedAt: Effect.fnUntraced(function*(sql: Sql, keys: Iterable<GroupKey>): Effect.fn.Return<ReadonlyMap<string, bigint>, PostgresError> {
      const instants = new Map<string, bigint>()
      for (const [name, ofGroup] of Map.groupBy(keys, ({ group }) => group)) {
        for (const [key, at] of yield* writers.get(name)!.evaluatedAt(sql, ofGroup.map(({ key }) => key))) instants.set(groupId(name, key), at)
      }
      return instants
    }),

    remember,

    /** What would have to be written, by table. Reads only. */
    compare: Effect.fnUntraced(function*(sql: Sql, folded: Folded): Effect.fn.Return<ReadonlyMap<string, ReadonlyArray<Cell>>, PostgresError> {
      const cells = new Map<string, ReadonlyArray<Cell>>()
      for (const [name, rows] of folded.rows) cells.set(TableName.format(pipeline.groups[name]!.target.table), yield* writers.get(name)!.compare(sql, rows))
      if (mirror !== undefined) cells.set(TableName.format(mirror.target.table), yield* mirror.compare(sql, folded.mirrors))
      return cells
    }),

    /** To be called last in its transaction, so that the hub's rows are held for as short as possible. */
    write: Effect.fnUntraced(function*(sql: Sql, folded: Folded): Effect.fn.Return<HubOutcome, PostgresError> {
      yield* remember(sql, folded)
      const announcements = yield* Effect.forEach([...folded.rows], ([name, rows]) => Effect.map(announcers.get(name)!.begin(sql, rows), (tell) => [name, tell] as const))
      const tellOf = new Map(announcements)
      yield* Holding.begin(sql)
      const allow = Holding.makeAllowance()
      const outcome = { written: 0, orphans: 0, overwritten: folded.overwritten, held: new Map<string, ReadonlyArray<string>>() }
      for (const [name, rows] of folded.rows) {
        const [now, later] = allow(rows)
        const written = yield* writers.get(name)!.write(sql, now)
        yield* tellOf.get(name)!(written)
        outcome.written += written.written
        outcome.orphans += written.orphans.length
        outcome.held.set(TableName.format(pipeline.groups[name]!.target.table), [...written.held, ...later.map(({ key }) => key)])
      }
      if (mirror !== undefined && folded.mirrors.length > 0) {
        const [now, later] = allow(folded.mirrors)
        const { held, written } = yield* mirror.write(sql, now)
        outcome.written += written
        outcome.held.set(TableName.format(mirror.target.table), [...held, ...later.map(mirrorKey)])
      }
      return outcome
    })
  }
}

export type HubWriter = ReturnType<typeof makeHubWriter>
