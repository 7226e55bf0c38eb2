import { Effect } from "effect"
import type { Sql } from "../connections/Postgres.ts"
import type { PostgresError } from "../connections/PostgresError.ts"
import { PipelineError } from "./PipelineError.ts"
import type { StateTables } from "./StateTables.ts"

/** One state of a pipeline, made from the beginning of its topics. */
export interface Generation {
  readonly number: number
  /** The hub's rows follow from it. Otherwise it is a candidate: built beside the live one, with no effect on anything else. */
  readonly isLive: boolean
  /** Names it in `cdc.pipelines` and `cdc.offsets`, and its consumer group. A live one has its pipeline's name. */
  readonly name: string
}

export const live = (pipeline: string, number: number): Generation => ({ number, isLive: true, name: pipeline })

export const candidate = (pipeline: string, number: number): Generation => ({ number, isLive: false, name: `${pipeline}@${number}` })

/** Which pipeline a name in `cdc.pipelines` is of: pipelines' own names hold no @. */
export const pipelineOf = (name: string): string => name.split("@", 1)[0]!

/**
 * Opens a transaction that works on a generation: until it ends, no other generation takes its place. An advisory lock, not a row's: it
 * is first come first served, so the one who wants to switch is not overtaken for ever by those who work. Fails with `fenced` if the
 * generation has been replaced, before any of its tables, which may be gone, is touched.
 */
export const enter = Effect.fnUntraced(function*(
  sql: Sql,
  tables: StateTables,
  pipeline: string,
  { name, number }: Generation,
  settingsHash: string
): Effect.fn.Return<void, PostgresError | PipelineError> {
  yield* sql.query("Keeping the generation", `select pg_advisory_xact_lock_shared(${lockOf})`, [lockText(tables, pipeline)])
  // Asked in a statement of its own: the one before sees what was there before it waited.
  const [row] = yield* sql.query<{ settings_hash: string }>(
    "Reading the generation",
    `select settings_hash from ${tables.pipelines} where name = $1 and generation = $2`,
    [name, number]
  )
  if (row === undefined) {
    return yield* new PipelineError({ reason: "fenced", pipeline, message: `Pipeline ${pipeline}: generation ${number} of its state has been replaced` })
  }
  if (row.settings_hash !== settingsHash) return yield* otherSettings(pipeline)
})

/** Waits for everyone who works on a generation of the pipeline, and keeps them out until the transaction ends. */
export const keepOut = (sql: Sql, tables: StateTables, pipeline: string) =>
  sql.query("Waiting for the pipeline's transactions", `select pg_advisory_xact_lock(${lockOf})`, [lockText(tables, pipeline)])

const lockOf = "hashtextextended($1, 0)"
const lockText = (tables: StateTables, pipeline: string): string => `${tables.pipelines}/${pipeline}`

export const otherSettings = (pipeline: string): PipelineError =>
  new PipelineError({
    reason: "misconfigured",
    pipeline,
    message: `Pipeline ${pipeline}: another instance was started with other settings, and the state follows those; `
      + "start this one again with the same configuration"
  })
