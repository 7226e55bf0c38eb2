import { Effect } from "effect"
import type { Sql } from "../connections/Postgres.ts"
import type { PostgresError } from "../connections/PostgresError.ts"
import { candidate, type Generation, keepOut, live, otherSettings } from "./Generation.ts"
import { makePendingKeys } from "./PendingKeys.ts"
import type { Pipeline } from "./Pipeline.ts"
import type { PipelineError } from "./PipelineError.ts"
import { settingsHash } from "./SettingsHash.ts"
import { generationDdl, stateTables } from "./StateTables.ts"

/** A candidate as Postgres has it. */
interface Found {
  readonly generation: number
  readonly version: number
  readonly settings_hash: string
}

/**
 * The generation of a pipeline's state that is built beside the live one: at most one, whoever builds it, and as many as like together.
 * Its progress is in `cdc.pipelines` and `cdc.offsets` under its own name, so an interrupted one goes on where it was.
 */
export const makeCandidates = (stateSchema: string, pipeline: Pipeline) => {
  const shared = stateTables(stateSchema, pipeline.name, 0)
  const hash = settingsHash(pipeline.settings)

  const find = (sql: Sql): Effect.Effect<Found | undefined, PostgresError> =>
    Effect.map(
      sql.query<Found>(
        "Looking for a candidate",
        `select generation, version, settings_hash from ${shared.pipelines} where name like $1 order by generation desc limit 1`,
        [`${pipeline.name}@%`]
      ),
      ([row]) => row
    )

  const isOurs = (found: Found): boolean => found.version === pipeline.version && found.settings_hash === hash

  const liveNumber = (sql: Sql) =>
    Effect.map(sql.query<{ generation: number }>("Reading the live generation", `select generation from ${shared.pipelines} where name = $1`, [pipeline.name]), ([row]) => row?.generation)

  const drop = Effect.fnUntraced(function*(sql: Sql, number: number) {
    const { bags, entries, groups, letters, links } = stateTables(stateSchema, pipeline.name, number)
    yield* sql.query("Dropping a generation", `drop table if exists ${[entries, links, groups, bags, letters].join(", ")}`)
  })

  const oldNumbers = Effect.fnUntraced(function*(sql: Sql) {
    const kept = new Set([yield* liveNumber(sql), (yield* find(sql))?.generation])
    const stored = yield* sql.query<{ generation: number }>(
      "Looking for old generations",
      `select substring(tablename from $2)::int as generation from pg_tables where schemaname = $1 and tablename ~ $2`,
      [stateSchema, `^${pipeline.name.replaceAll("-", "_")}_([0-9]+)_entries$`]
    )
    return stored.map(({ generation }) => generation).filter((number) => !kept.has(number))
  })

  const discard = Effect.fnUntraced(function*(sql: Sql, { generation: number }: Found) {
    const { name } = candidate(pipeline.name, number)
    yield* sql.query("Discarding a candidate", `delete from ${shared.offsets} where pipeline = $1`, [name])
    yield* sql.query("Discarding a candidate", `delete from ${shared.pipelines} where name = $1`, [name])
    yield* drop(sql, number)
  })

  const create = Effect.fnUntraced(function*(sql: Sql, number: number) {
    const generation = candidate(pipeline.name, number)
    yield* sql.query(
      "Registering a candidate",
      `insert into ${shared.pipelines} (name, version, settings_hash, generation, accepted)
       values ($1, $2, $3, $4, (select accepted from ${shared.pipelines} where name = $5))`,
      [generation.name, pipeline.version, hash, number, pipeline.name]
    )
    yield* drop(sql, number)
    for (const statement of generationDdl(stateTables(stateSchema, pipeline.name, number))) yield* sql.query("Creating the candidate's tables", statement)
    return generation
  })

  /**
   * Makes the candidate live, in the caller's transaction: its offsets take the place of the live ones if they are nowhere behind them,
   * and every row is to be compared with it. What a person sees does not change by that. Whoever works on the old generation is
   * waited for before, and `fenced` after. `lost` are partitions (`topic/partition`) whose
   * live offset lies beyond their end, as their topic was made again: nothing can be applied there, and nothing reach it. The map of surrogates, what is managed and what was announced stay as they are.
   */
  const promote = Effect.fnUntraced(function*(
    sql: Sql,
    { name, number }: Generation,
    lost: ReadonlyArray<string> = []
  ): Effect.fn.Return<"promoted" | "behind" | "gone", PostgresError> {
    yield* keepOut(sql, shared, pipeline.name)
    const [state] = yield* sql.query<{ is_behind: boolean }>(
      "Comparing the candidate's offsets",
      `select exists (select from ${shared.offsets} l join ${shared.offsets} c using (topic, partition)
         where l.pipeline = $1 and c.pipeline = $2 and c.next_offset < l.next_offset
           and not l.topic || '/' || l.partition = any($4)) as is_behind
       from ${shared.pipelines} where name = $2 and generation = $3`,
      [pipeline.name, name, number, lost]
    )
    if (state === undefined) return "gone"
    if (state.is_behind) return "behind"
    yield* sql.query("Switching generations", `delete from ${shared.offsets} where pipeline = $1`, [pipeline.name])
    yield* sql.query("Switching generations", `update ${shared.offsets} set pipeline = $1 where pipeline = $2`, [pipeline.name, name])
    yield* sql.query(
      "Switching generations",
      `with candidate as (delete from ${shared.pipelines} where name = $2 returning *)
       insert into ${shared.pipelines} as p (name, version, settings_hash, generation, applied, last_commit_at, accepted)
       select $1, version, settings_hash, generation, applied, last_commit_at, accepted from candidate
       on conflict (name) do update set version = excluded.version, settings_hash = excluded.settings_hash, generation = excluded.generation,
         last_commit_at = greatest(p.last_commit_at, excluded.last_commit_at), checked_at = clock_timestamp(), paused_noted_at = null`,
      [pipeline.name, name]
    )
    yield* sql.query("Switching generations", `delete from ${shared.pending} where pipeline = $1`, [pipeline.name]) // all is compared anyway
    yield* makePendingKeys(shared, pipeline.name).addEverything(sql)
    return "promoted"
  })

  return {
    find,
    /** Whether this version and these settings made it. */
    isOurs,
    promote,

    /** Where nothing is live: promotes a candidate of this definition, if there is one. Returns the number of a first generation otherwise. */
    promoteFirst: Effect.fnUntraced(function*(sql: Sql): Effect.fn.Return<number, PostgresError> {
      const found = yield* find(sql)
      if (found !== undefined && isOurs(found)) yield* promote(sql, candidate(pipeline.name, found.generation))
      return (found?.generation ?? 0) + 1
    }),

    /**
     * The candidate to build: the one that is there if this version and these settings made it, or else a new one. `anew`: whatever is
     * there. Who was building one already (`known`) does not replace another's: it fails with `misconfigured`.
     */
    open: Effect.fnUntraced(function*(
      sql: Sql,
      { anew, known }: { readonly anew: boolean; readonly known: boolean }
    ): Effect.fn.Return<Generation, PostgresError | PipelineError> {
      yield* keepOut(sql, shared, pipeline.name)
      const found = yield* find(sql)
      if (found !== undefined && isOurs(found) && !anew) return candidate(pipeline.name, found.generation)
      if (found !== undefined && !isOurs(found) && known) return yield* otherSettings(pipeline.name)
      if (found !== undefined) yield* discard(sql, found)
      return yield* create(sql, Math.max(found?.generation ?? 0, (yield* liveNumber(sql)) ?? 0) + 1)
    }),

    /** Drops the tables of generations that are neither live nor a candidate: nobody can work on them any more. Says how many. */
    sweep: Effect.fnUntraced(function*(sql: Sql): Effect.fn.Return<number, PostgresError> {
      if ((yield* oldNumbers(sql)).length === 0) return 0
      yield* keepOut(sql, shared, pipeline.name)
      const old = yield* oldNumbers(sql)
      yield* Effect.forEach(old, (number) => drop(sql, number), { discard: true })
      return old.length
    }),

    /** The live generation; undefined: there is none. */
    live: (sql: Sql) => Effect.map(liveNumber(sql), (number) => number === undefined ? undefined : live(pipeline.name, number))
  }
}
