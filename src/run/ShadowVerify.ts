import { Effect } from "effect"
import { AppConfig } from "../Config.ts"
import { Postgres } from "../connections/Postgres.ts"
import * as TopicName from "../domain/TopicName.ts"
import { makeCandidates } from "../materialize/Candidate.ts"
import { beginning, type Cursor, type Page } from "../materialize/Comparison.ts"
import { candidate } from "../materialize/Generation.ts"
import { makeMaterializer } from "../materialize/Materializer.ts"
import type { Pipeline } from "../materialize/Pipeline.ts"
import { notSetUpUnlessThere } from "../materialize/Registration.ts"
import { stateTables } from "../materialize/StateTables.ts"

/** A value that a pipeline in shadow mode would write, as Postgres prints it; column `(row)`: a row would be inserted, or deleted. */
export interface ShadowDifference {
  readonly pipeline: string
  readonly table: string
  readonly key: string
  readonly column: string
  readonly stored: string | null
  readonly wouldBe: string | null
}

export interface ShadowVerdict {
  readonly pipeline: string
  /** The generation of state that was compared; null: there is none, as neither shadow mode nor a replay of this definition has begun. */
  readonly generation: number | null
  readonly compared: number
  /** Rows that would be written; all of them are counted. */
  readonly differing: number
  /** The first of them, up to a limit. */
  readonly differences: ReadonlyArray<ShadowDifference>
}

/**
 * What a pipeline's candidate, built in shadow mode or by a replay, would write if it went live now. In memory are a page of rows, and up to
 * `limit` differences. Only the candidate's own state is touched: it moves on to the instants that the hub's rows stand for.
 */
export const verifyShadow = Effect.fnUntraced(function*(pipeline: Pipeline, limit: number) {
  const { kafka, source } = yield* AppConfig
  const postgres = yield* Postgres
  const candidates = makeCandidates(source.stateSchema, pipeline)
  yield* notSetUpUnlessThere(postgres, pipeline.name, stateTables(source.stateSchema, pipeline.name, 1).announced)
  const found = yield* candidates.find(postgres)
  if (found === undefined || !candidates.isOurs(found)) {
    return { pipeline: pipeline.name, generation: null, compared: 0, differing: 0, differences: [] } satisfies ShadowVerdict
  }
  const topics = TopicName.ofSources(kafka.topicPrefix, pipeline.sources)
  const { compare } = yield* makeMaterializer({
    pipeline,
    stateSchema: source.stateSchema,
    generation: candidate(pipeline.name, found.generation),
    topics,
    setAside: () => Effect.void // no record is read
  })
  let compared = 0
  let differing = 0
  const differences: Array<ShadowDifference> = []
  for (let cursor: Cursor | undefined = beginning; cursor !== undefined;) {
    const page: Page = yield* compare(cursor)
    compared += page.compared
    differing += [...page.cells.values()].reduce((sum, cells) => sum + new Set(cells.map(({ key }) => key)).size, 0)
    const found = differencesOf(pipeline, page)
    differences.push(...found.slice(0, Math.max(0, limit - differences.length)))
    cursor = page.next
  }
  return { pipeline: pipeline.name, generation: found.generation, compared, differing, differences } satisfies ShadowVerdict
})

const differencesOf = (pipeline: Pipeline, { cells }: Page): ReadonlyArray<ShadowDifference> =>
  [...cells].flatMap(([table, ofTable]) =>
    ofTable.map(({ column, key, stored, wanted }) => ({ pipeline: pipeline.name, table, key, column: column ?? "(row)", stored, wouldBe: wanted })))
