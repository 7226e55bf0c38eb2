import { Effect } from "effect"
import { AppConfig } from "../Config.ts"
import { Postgres, type Sql } from "../connections/Postgres.ts"
import type { PostgresError } from "../connections/PostgresError.ts"
import { readPartitions } from "../consume/TopicReader.ts"
import * as TopicName from "../domain/TopicName.ts"
import { partitionId } from "../materialize/Checkpoint.ts"
import { type Letter, type LetterFilter, makeLetterStore } from "../materialize/LetterStore.ts"
import { makePause } from "../materialize/Pause.ts"
import type { Pipeline } from "../materialize/Pipeline.ts"
import { generationOf, latestGeneration, notSetUpUnlessThere } from "../materialize/Registration.ts"
import { stateTables } from "../materialize/StateTables.ts"

/** How many letters there are of a reason. */
export interface LetterCount {
  readonly pipeline: string
  readonly reason: string
  readonly open: number
  /** Rows among the open ones whose contribution may be wrong. */
  readonly suspectRows: number
  readonly applied: number
  readonly superseded: number
}

export interface ListedLetter extends Letter {
  readonly pipeline: string
}

/**
 * The dead letters of pipelines as their state has them, in shadow mode the one that it builds: counts of all that the filter lets through,
 * and up to `limit` of them. A pipeline that has not run has none.
 */
export const listDeadLetters = Effect.fnUntraced(function*(pipelines: ReadonlyArray<Pipeline>, filter: LetterFilter, limit: number) {
  const { pipelines: { modes }, source } = yield* AppConfig
  const postgres = yield* Postgres
  const counts: Array<LetterCount> = []
  const letters: Array<ListedLetter> = []
  for (const pipeline of pipelines) {
    const generation = yield* latestGeneration(postgres, source.stateSchema, pipeline.name, modes[pipeline.name] ?? "live")
    if (generation === undefined) continue
    const store = makeLetterStore(stateTables(source.stateSchema, pipeline.name, generation))
    counts.push(...(yield* store.counts(postgres, filter)).map((count) => ({ pipeline: pipeline.name, ...count })))
    letters.push(...(yield* store.list(postgres, filter, limit - letters.length)).map((letter) => ({ pipeline: pipeline.name, ...letter })))
  }
  return { counts, letters }
})

/** Source rows whose contribution may be wrong, because what they were changed to can't be read. A pipeline that never ran has none. */
export const countSuspects = Effect.fnUntraced(function*(sql: Sql, stateSchema: string, pipeline: Pipeline): Effect.fn.Return<number, PostgresError> {
  const generation = yield* generationOf(sql, stateSchema, pipeline).pipe(Effect.catchTag("PipelineError", () => Effect.succeed(undefined)))
  if (generation === undefined) return 0
  return (yield* makeLetterStore(stateTables(stateSchema, pipeline.name, generation.number)).openLetters(sql)).suspectRows
})

/** Lets a paused pipeline move the bad records that are in its topics now to the dead letters. false: it was never started. */
export const acceptBadRecords = Effect.fnUntraced(function*(pipeline: Pipeline) {
  const { kafka, source } = yield* AppConfig
  const postgres = yield* Postgres
  const tables = stateTables(source.stateSchema, pipeline.name, 1)
  yield* notSetUpUnlessThere(postgres, pipeline.name, tables.unclaimedTo)
  const partitions = yield* readPartitions(TopicName.ofSources(kafka.topicPrefix, pipeline.sources))
  const ends = new Map(partitions.map((partition) => [partitionId(partition), partition.high]))
  return yield* makePause(tables, pipeline.name).accept(postgres, ends)
})
