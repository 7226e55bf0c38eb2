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
  /** Rows that differed, but not each time in the same way: changes on their way to one of both. */
  readonly unsettled: number
  /** The first of them, up to a limit. */
  readonly differences: ReadonlyArray<ShadowDifference>
}

/**
 * What a pipeline's candidate, built in shadow mode or by a replay, would write if it went live now. Writers never rest, and neither it nor who
 * writes the hub's rows is always up to date: only what differs in the same way each time is a difference. In memory are a page of rows, and up to
 * `limit` differences. Only the candidate's own state is touched: it moves on to the instants that the hub's rows stand for.
 */
export const verifyShadow = Effect.fnUntraced(function*(pipeline: Pipeline, limit: number) {
  const { kafka, source } = yield* AppConfig
  const postgres = yield* Postgres
  const candidates = makeCandidates(source.stateSchema, pipeline)
  yield* notSetUpUnlessThere(postgres, pipeline.name, stateTables(source.stateSchema, pipeline.name, 1).unclaimedTo)
  const found = yield* candidates.find(postgres)
  if (found === undefined || !candidates.isOurs(found)) {
    return { pipeline: pipeline.name, generation: null, compared: 0, differing: 0, unsettled: 0, differences: [] } satisfies ShadowVerdict
  }
  const topics = TopicName.ofSources(kafka.topicPrefix, pipeline.sources)
  const { compare } = yield* makeMaterializer({
    pipeline,
    stateSchema: source.stateSchema,
    generation: candidate(pipeline.name, found.generation),
    topics,
    setAside: () => Effect.void // no record is read
  })
  const look = Effect.gen(function*(): Effect.fn.Return<ShadowVerdict, Effect.Error<ReturnType<typeof compare>>> {
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
    return { pipeline: pipeline.name, generation: found.generation, compared, differing, unsettled: 0, differences }
  })
  let verdict = yield* look
  for (let looks = 1; looks < looksToBeSure && verdict.differing > 0 && verdict.differences.length < limit; looks++) {
    yield* Effect.sleep(betweenLooks)
    verdict = persisting(verdict, yield* look)
  }
  return verdict
})

const looksToBeSure = 3
/** Several times what a change takes to go through, on a hub that is busy. */
const betweenLooks = "500 millis"

/** Pure: what differs now as it did before. */
export const persisting = (before: ShadowVerdict, now: ShadowVerdict): ShadowVerdict => {
  const earlier = new Set(before.differences.map((difference) => JSON.stringify(difference)))
  const differences = now.differences.filter((difference) => earlier.has(JSON.stringify(difference)))
  const certain = rowsOf(differences)
  const unsettled = rowsOf([...before.differences, ...now.differences]).difference(certain).size
  return { ...now, differing: certain.size, unsettled: Math.max(before.unsettled, unsettled), differences }
}

const rowsOf = (differences: ReadonlyArray<ShadowDifference>): Set<string> => new Set(differences.map(({ key, table }) => JSON.stringify([table, key])))

const differencesOf = (pipeline: Pipeline, { cells }: Page): ReadonlyArray<ShadowDifference> =>
  [...cells].flatMap(([table, ofTable]) =>
    ofTable.map(({ column, key, stored, wanted }) => ({ pipeline: pipeline.name, table, key, column: column ?? "(row)", stored, wouldBe: wanted })))
