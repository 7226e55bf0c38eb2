import { Effect } from "effect"
import type { PipelineMode } from "../Config.ts"
import type { Sql } from "../connections/Postgres.ts"
import type { PostgresError } from "../connections/PostgresError.ts"
import { replay } from "../domain/Remedy.ts"
import { makeCandidates } from "./Candidate.ts"
import { type Generation, live } from "./Generation.ts"
import { requireOwnTables } from "./OwnTables.ts"
import type { Pipeline } from "./Pipeline.ts"
import { PipelineError } from "./PipelineError.ts"
import { rescore } from "./Rescoring.ts"
import { settingsHash } from "./SettingsHash.ts"
import { generationDdl, sharedDdl, stateTables } from "./StateTables.ts"

/** Creates the tables that every pipeline shares, in schema `stateSchema`. Idempotent; part of `cdc setup`. */
export const createSharedTables = Effect.fnUntraced(function*(sql: Sql, stateSchema: string) {
  for (const statement of sharedDdl(stateSchema)) yield* sql.query("Creating the state tables", statement)
})

interface Registered {
  version: number
  settings_hash: string
  generation: number
}

/**
 * Makes a pipeline known and its state tables exist; returns the generation of state that is live. Old state is never mixed
 * with a definition that it was not made by: another version fails with `needsReplay`, other settings make the groups anew
 * from the entries (and fence instances that still run with the old ones, see `Materializer`). Where nothing was live yet and a
 * candidate of this very definition is there, as after a time in shadow mode, that goes live.
 */
export const register = Effect.fnUntraced(function*(
  sql: Sql,
  stateSchema: string,
  pipeline: Pipeline
): Effect.fn.Return<Generation, PostgresError | PipelineError> {
  const hash = settingsHash(pipeline.settings)
  const { pipelines, unclaimedTo } = stateTables(stateSchema, pipeline.name, 1)
  yield* notSetUpUnlessThere(sql, pipeline.name, unclaimedTo)
  yield* requireOwnTables(sql, pipeline)
  const candidates = makeCandidates(stateSchema, pipeline)
  const first = (yield* candidates.live(sql)) === undefined ? yield* candidates.promoteFirst(sql) : 1
  yield* sql.query(
    "Registering the pipeline",
    `insert into ${pipelines} (name, version, settings_hash, generation) values ($1, $2, $3, $4) on conflict do nothing`,
    [pipeline.name, pipeline.version, hash, first]
  )
  const [registered] = yield* sql.query<Registered>(
    "Reading the pipeline's registration",
    `select version, settings_hash, generation from ${pipelines} where name = $1 for update`,
    [pipeline.name]
  )
  if (registered!.version !== pipeline.version) return yield* otherVersion(pipeline, registered!.version)
  const tables = stateTables(stateSchema, pipeline.name, registered!.generation)
  for (const statement of generationDdl(tables)) yield* sql.query("Creating the pipeline's state tables", statement)
  if (registered!.settings_hash !== hash) {
    yield* Effect.logInfo("settings have changed: scoring again from state", { pipeline: pipeline.name })
    yield* rescore(sql, pipeline, tables)
    yield* sql.query("Recording the settings", `update ${pipelines} set settings_hash = $2 where name = $1`, [pipeline.name, hash])
  }
  return live(pipeline.name, registered!.generation)
})

/** The generation of a pipeline that has been started, for who works beside it: nothing is made, and nothing scored again. */
export const generationOf = Effect.fnUntraced(function*(
  sql: Sql,
  stateSchema: string,
  pipeline: Pipeline
): Effect.fn.Return<Generation, PostgresError | PipelineError> {
  const { pipelines, unclaimedTo } = stateTables(stateSchema, pipeline.name, 1)
  yield* notSetUpUnlessThere(sql, pipeline.name, unclaimedTo)
  const [row] = yield* sql.query<{ generation: number; version: number }>(
    "Reading the pipeline's registration",
    `select generation, version from ${pipelines} where name = $1`,
    [pipeline.name]
  )
  if (row === undefined) {
    return yield* new PipelineError({ reason: "notSetUp", pipeline: pipeline.name, message: `Pipeline ${pipeline.name} has never run: start \`cdc run\` first` })
  }
  if (row.version !== pipeline.version) return yield* otherVersion(pipeline, row.version)
  return live(pipeline.name, row.generation)
})

/**
 * The number of the generation that a pipeline works on in this mode, whichever version made it, for who only looks at what all have in
 * common; undefined: it has not run in it.
 */
export const latestGeneration = Effect.fnUntraced(function*(
  sql: Sql,
  stateSchema: string,
  pipeline: string,
  mode: PipelineMode
): Effect.fn.Return<number | undefined, PostgresError | PipelineError> {
  const { pipelines, unclaimedTo } = stateTables(stateSchema, pipeline, 1)
  yield* notSetUpUnlessThere(sql, pipeline, unclaimedTo)
  const [row] = yield* sql.query<{ generation: number }>(
    "Reading the pipeline's registration",
    `select generation from ${pipelines} where split_part(name, '@', 1) = $1 and (name <> $1) = $2 order by generation desc limit 1`,
    [pipeline, mode === "shadow"]
  )
  return row?.generation
})

const otherVersion = (pipeline: Pipeline, version: number) =>
  new PipelineError({
    reason: "needsReplay",
    pipeline: pipeline.name,
    message: `Pipeline ${pipeline.name}: its state was made by version ${version}, this is version ${pipeline.version}; `
      + `mixing them would be wrong; run that version, or ${replay(pipeline.name)}`
  })

/** By the latest table that `setup` makes: with it there is everything. */
export const notSetUpUnlessThere = Effect.fnUntraced(function*(sql: Sql, pipeline: string, latest: string) {
  const [row] = yield* sql.query<{ there: boolean }>(
    "Looking for the state tables",
    "select to_regclass($1) is not null as there",
    [latest]
  )
  if (row!.there) return
  return yield* new PipelineError({
    reason: "notSetUp",
    pipeline,
    message: `Pipeline ${pipeline}: its state tables are not there, or an earlier version's; run \`cdc setup\` first`
  })
})
