import { Effect } from "effect"
import { AppConfig } from "../Config.ts"
import { Postgres } from "../connections/Postgres.ts"
import { openDeadLetters } from "../consume/DeadLetters.ts"
import type { BadRecord } from "../domain/SourceChange.ts"
import { makeBreaker } from "../materialize/Breaker.ts"
import { makeCandidates } from "../materialize/Candidate.ts"
import type { Generation } from "../materialize/Generation.ts"
import { makeLetterStore } from "../materialize/LetterStore.ts"
import type { Pipeline } from "../materialize/Pipeline.ts"
import { PipelineError } from "../materialize/PipelineError.ts"
import { notSetUpUnlessThere } from "../materialize/Registration.ts"
import { stateTables } from "../materialize/StateTables.ts"
import { keepChecked } from "./PipelineCheckpoint.ts"
import { applyAll, keepRunning, openGeneration, whileRunning } from "./PipelineLoop.ts"
import * as WalHeadroom from "./WalHeadroom.ts"

export interface CandidateOptions {
  /** Discard the one that is there. */
  readonly anew: boolean
  /** Told of the one that is built, again after each interruption. */
  readonly opened?: (generation: Generation) => void
}

/**
 * Builds a candidate of a pipeline's state from the topics and keeps it up to date; ends when it has become live, by whomever. Several
 * processes build one together. Nothing of the hub is written, nothing is announced. What can be retried is; one that has lost its place in
 * the topics is made anew.
 */
export const buildCandidate = Effect.fnUntraced(function*(pipeline: Pipeline, options: CandidateOptions) {
  const { pipelines, source } = yield* AppConfig
  const postgres = yield* Postgres
  const candidates = makeCandidates(source.stateSchema, pipeline)
  const breaker = makeBreaker(pipelines.deadLetterBreaker)
  let isAnew = options.anew
  /** Once is enough to begin anew; if that can't be, the second time says why. */
  let hasLostPlace = false
  let known: Generation | undefined

  /** undefined: the one that was built is live. */
  const open = postgres.transaction(Effect.fnUntraced(function*(sql) {
    yield* notSetUpUnlessThere(sql, pipeline.name, stateTables(source.stateSchema, pipeline.name, 0).announced)
    if (known !== undefined && ((yield* candidates.live(sql))?.number ?? 0) >= known.number) return undefined
    return yield* candidates.open(sql, { anew: isAnew, known: known !== undefined })
  }))

  return yield* keepRunning(pipeline.name, Effect.gen(function*() {
    const generation = yield* open
    if (generation === undefined) return
    isAnew = false
    known = generation
    options.opened?.(generation)
    const setAside = yield* setAsideOnce(pipeline, yield* postgres.transaction(candidates.live))
    const { materializer, queue, topics } = yield* openGeneration({ pipeline, generation, breaker, setAside })
    const gate = yield* WalHeadroom.makePipelineGate(pipeline.name, { waits: "building its state waits", goesOn: "building its state goes on" })
    return yield* whileRunning(pipeline.name, [
      applyAll(generation.name, queue, materializer, gate),
      keepChecked(generation.name, topics, materializer)
    ])
  }).pipe(Effect.catchIf((error) => error.reason === "gap" && !hasLostPlace, (error) => {
    isAnew = hasLostPlace = true
    return Effect.fail(new PipelineError({ reason: "fenced", pipeline: pipeline.name, message: `${error.message} (it is made anew)` }))
  })))
})

/** Builds candidates for ever: with one that has become live, the next begins. */
export const runInShadow = (pipeline: Pipeline) => Effect.forever(buildCandidate(pipeline, { anew: false }))

/** Writes dead letters that the live generation has not written: their topics are one for all generations. */
const setAsideOnce = Effect.fnUntraced(function*(pipeline: Pipeline, live: Generation | undefined) {
  const { source } = yield* AppConfig
  const postgres = yield* Postgres
  const { setAside } = yield* openDeadLetters(pipeline.name)
  if (live === undefined) return setAside
  const letters = makeLetterStore(stateTables(source.stateSchema, pipeline.name, live.number))
  return Effect.fnUntraced(function*(records: ReadonlyArray<BadRecord>) {
    const known = new Set(yield* letters.known(postgres, records))
    yield* setAside(records.filter((record) => !known.has(record)))
  })
})
