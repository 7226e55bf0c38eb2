import { Duration, Effect } from "effect"
import type { Sql } from "../connections/Postgres.ts"
import type { PostgresError } from "../connections/PostgresError.ts"
import * as TableName from "../domain/TableName.ts"
import { makeAnnouncer } from "./Announcer.ts"
import type { GroupKey } from "./ByGroup.ts"
import type { Folded } from "./Folding.ts"
import * as Holding from "./Holding.ts"
import { makeMirrorWriter, type MirrorWriter, type WantedMirror } from "./MirrorWriter.ts"
import { makePendingKeys } from "./PendingKeys.ts"
import type { Pipeline } from "./Pipeline.ts"
import type { StateTables } from "./StateTables.ts"
import { type Cell, makeTargetWriter, type PlannedChange, type WantedRow } from "./TargetWriter.ts"

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
  /** Of those, rows that nobody held, and that are for the next transaction. */
  readonly surplus: number
  /** To be the last thing before the commit: fails, to be tried again, if what was inserted must not commit any more. */
  readonly lastLook: Effect.Effect<void, PostgresError>
}

export const nothingWritten: HubOutcome = { written: 0, orphans: 0, overwritten: 0, held: new Map(), surplus: 0, lastLook: Effect.void }

/** Writes what follows from state into the hub, with what there is to remember and to tell of it, in the caller's transaction; what can't be written now becomes pending. */
export const makeHubWriter = (pipeline: Pipeline, tables: StateTables) => {
  const groups = Object.entries(pipeline.groups)
  const writers = new Map(groups.map(([name, { target }]) => [name, makeTargetWriter(target)]))
  const announcers = new Map(groups.map(([name, group]) => [name, makeAnnouncer(tables, pipeline.name, group)]))
  const mirror = pipeline.mirror === undefined ? undefined : makeMirrorWriter(pipeline, pipeline.mirror, tables)
  const pending = makePendingKeys(tables, pipeline.name)
  const pace = Holding.makePace()

  /** A key once managed stays so, whatever becomes of the state. */
  const remember = (sql: Sql, { newlyManaged }: Folded) =>
    newlyManaged.length === 0 ? Effect.void : sql.query(
      "Remembering what is managed",
      `insert into ${tables.managed} (pipeline, target, key) select $1, * from unnest($2::text[], $3::text[]) on conflict do nothing`,
      [pipeline.name, newlyManaged.map(({ group }) => TableName.format(pipeline.groups[group]!.target.table)), newlyManaged.map(({ key }) => key)]
    )

  const planGroup = Effect.fnUntraced(function*(sql: Sql, name: string, rows: ReadonlyArray<WantedRow>, hasRested: (target: string, key: string) => boolean): Effect.fn.Return<Plan, PostgresError> {
    const { tell, wasThere } = yield* announcers.get(name)!.begin(sql, rows)
    const writer = writers.get(name)!
    const table = TableName.format(writer.target.table)
    const { changes: all, equal, orphans } = yield* writer.plan(sql, rows)
    const { restSeconds = 0 } = writer.target
    const mustRest = ({ isMissing, key }: PlannedChange) => isMissing && restSeconds > 0 && wasThere(key) && !hasRested(table, key)
    const changes = all.filter((change) => !mustRest(change))
    const resting = changes.length === all.length ? [] : all.filter(mustRest).map(({ key }) => key)
    yield* pending.add(sql, new Map([[table, resting]]), { rested: () => true, seconds: restSeconds })
    return {
      table,
      keys: changes.map(({ key }) => key),
      orphans: orphans.length,
      resting,
      inserted: nothing,
      write: Effect.fnUntraced(function*(count: number) {
        const { changed, held, mustStayAlone } = yield* writer.write(sql, changes.slice(0, count))
        yield* tell({ changed, equal })
        return { written: changed.length, held, lastLook: mustStayAlone === true ? writer.makeSureAlone(sql) : undefined }
      })
    }
  })

  /** Mirror rows that are missing are inserted at once: their integers are new, so nobody can wait for them. */
  const planMirrors = Effect.fnUntraced(function*(sql: Sql, writer: MirrorWriter, rows: ReadonlyArray<WantedMirror>): Effect.fn.Return<Plan, PostgresError> {
    const { changes, missing } = yield* writer.plan(sql, rows)
    return {
      table: TableName.format(writer.target.table),
      keys: changes.map(({ name }) => name),
      orphans: 0,
      resting: [],
      inserted: missing.length === 0 ? nothing : yield* writer.write(sql, missing),
      write: (count) => count === 0 ? Effect.succeed(nothing) : writer.write(sql, changes.slice(0, count))
    }
  })

  return {
    /** The instants (µs) that rows say they were evaluated for. */
    evaluatedAt: Effect.fnUntraced(function*(sql: Sql, groups: ReadonlyArray<GroupKey>): Effect.fn.Return<ReadonlyMap<GroupKey, bigint>, PostgresError> {
      const instants = new Map<GroupKey, bigint>()
      for (const [name, ofKind] of Map.groupBy(groups, ({ group }) => group)) {
        const stored = yield* writers.get(name)!.evaluatedAt(sql, ofKind.map(({ key }) => key))
        if (stored.size === 0) continue
        for (const group of ofKind) if (stored.has(group.key)) instants.set(group, stored.get(group.key)!)
      }
      return instants
    }),

    remember,

    /** How many rows one transaction would hold now. */
    get rowsAtOnce(): number {
      return pace.rows
    },

    /** What would have to be written, by table. Reads only. */
    compare: Effect.fnUntraced(function*(sql: Sql, folded: Folded): Effect.fn.Return<ReadonlyMap<string, ReadonlyArray<Cell>>, PostgresError> {
      const cells = new Map<string, ReadonlyArray<Cell>>()
      for (const [name, rows] of folded.rows) cells.set(TableName.format(pipeline.groups[name]!.target.table), yield* writers.get(name)!.compare(sql, rows))
      if (mirror !== undefined) cells.set(TableName.format(mirror.target.table), yield* mirror.compare(sql, folded.mirrors))
      return cells
    }),

    /**
     * To be called last in its transaction. All that can be found out, and what must wait for another transaction, is known and noted
     * before the first row of the hub is held; from then on there is nothing but the writing, what tells of it, and the keys of rows that were held.
     */
    write: Effect.fnUntraced(function*(sql: Sql, folded: Folded, rested: ReadonlyArray<GroupKey>): Effect.fn.Return<HubOutcome, PostgresError> {
      const restedIn = Map.groupBy(rested, ({ group }) => TableName.format(pipeline.groups[group]!.target.table))
      const restedKeys = new Map([...restedIn].map(([table, ofTable]) => [table, new Set(ofTable.map(({ key }) => key))]))
      const hasRested = (table: string, key: string) => restedKeys.get(table)?.has(key) === true
      yield* remember(sql, folded)
      const plans = yield* Effect.forEach([...folded.rows], ([name, rows]) => planGroup(sql, name, rows, hasRested))
      if (mirror !== undefined && folded.mirrors.length > 0) plans.push(yield* planMirrors(sql, mirror, folded.mirrors))
      const allow = Holding.makeAllowance(pace.rows)
      const parts = plans.map((plan) => ({ plan, parted: allow(plan.keys) }))
      const later = new Map(parts.map(({ parted: [, later], plan }) => [plan.table, [...plan.resting, ...plan.inserted.held, ...later]]))
      yield* pending.add(sql, later, { rested: hasRested })

      yield* Holding.begin(sql)
      const [took, outcome] = yield* Effect.timed(Effect.gen(function*() {
        const held = new Map<string, ReadonlyArray<string>>()
        const lastLooks: Array<Effect.Effect<void, PostgresError>> = []
        let written = 0
        for (const { parted: [now], plan } of parts) {
          const wrote = yield* plan.write(now.length)
          written += plan.inserted.written + wrote.written
          held.set(plan.table, wrote.held)
          if (wrote.lastLook !== undefined) lastLooks.push(wrote.lastLook)
        }
        yield* pending.add(sql, held, { rested: hasRested })
        return { written, held, lastLook: Effect.all(lastLooks, { discard: true }) }
      }))
      pace.wrote(parts.reduce((sum, { parted: [now] }) => sum + now.length, 0), Duration.toMillis(took))
      return {
        written: outcome.written,
        orphans: plans.reduce((sum, { orphans }) => sum + orphans, 0),
        overwritten: folded.overwritten,
        surplus: parts.reduce((sum, { parted: [, later] }) => sum + later.length, 0),
        lastLook: outcome.lastLook,
        held: new Map([...later].map(([table, keys]) => [table, [...outcome.held.get(table) ?? [], ...keys]]))
      }
    })
  }
}

export type HubWriter = ReturnType<typeof makeHubWriter>

/** What is to be written of one table, found out before any of its rows is held. */
interface Plan {
  readonly table: string
  /** Names, as in `pending`, of the rows that would be held. */
  readonly keys: ReadonlyArray<string>
  readonly orphans: number
  /** Names of rows that are to be written later, whoever holds them. */
  readonly resting: ReadonlyArray<string>
  /** What could be written at once. */
  readonly inserted: Written
  /** Writes the first so many of the rows, and tells of them. */
  readonly write: (count: number) => Effect.Effect<Written, PostgresError>
}

interface Written {
  /** Rows inserted, updated or deleted. */
  readonly written: number
  /** Names, as in `pending`, of those that somebody holds. */
  readonly held: ReadonlyArray<string>
  /** See `HubOutcome`. */
  readonly lastLook?: Effect.Effect<void, PostgresError> | undefined
}

const nothing: Written = { written: 0, held: [] }
