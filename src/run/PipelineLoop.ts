import { Clock, Duration, Effect, Queue, Schedule } from "effect"
import { AppConfig } from "../Config.ts"
import { Postgres } from "../connections/Postgres.ts"
import { openDeadLetters } from "../consume/DeadLetters.ts"
import { openReader } from "../consume/TopicReader.ts"
import { replay } from "../domain/Remedy.ts"
import * as TopicName from "../domain/TopicName.ts"
import { type Breaker, makeBreaker } from "../materialize/Breaker.ts"
import { pipelineOf } from "../materialize/Generation.ts"
import { makeCandidates } from "../materialize/Candidate.ts"
import { makeMaterializer, type Materializer, type MaterializerOptions } from "../materialize/Materializer.ts"
import type { Pipeline } from "../materialize/Pipeline.ts"
import { PipelineError } from "../materialize/PipelineError.ts"
import { register } from "../materialize/Registration.ts"
import { keepChecked, openCheckpoint } from "./PipelineCheckpoint.ts"
import { plan, type Sequence, type Step } from "./PipelineBatches.ts"
import { whilePaused } from "./PipelinePause.ts"
import { PipelineObserver } from "./PipelineObserver.ts"
import * as WalHeadroom from "./WalHeadroom.ts"

/**
 * Runs one pipeline for ever: topics → batches → one Postgres transaction each. What can be retried is, with back-off, from
 * where the checkpoint stands; it fails only with what a person must decide. Where another generation becomes the live one, it goes on with that.
 */
export const runPipeline = Effect.fnUntraced(function*(pipeline: Pipeline) {
  const breaker = makeBreaker((yield* AppConfig).pipelines.deadLetterBreaker)
  return yield* keepRunning(pipeline.name, Effect.gen(function*() {
    const generation = yield* openLive(pipeline)
    const { setAside } = yield* openDeadLetters(pipeline.name)
    const { materializer, queue, topics } = yield* openGeneration({ pipeline, generation, breaker, setAside })
    return yield* whileRunning(pipeline.name, [
      applyAll(generation.name, queue, materializer),
      retryPendingAll(pipeline.name, materializer),
      wakeAll(pipeline.name, materializer),
      keepChecked(generation.name, topics, materializer),
      prunePeriodically(pipeline.name, materializer)
    ])
  }))
})

const openLive = Effect.fnUntraced(function*(pipeline: Pipeline) {
  const { source } = yield* AppConfig
  const postgres = yield* Postgres
  const generation = yield* postgres.transaction((sql) => register(sql, source.stateSchema, pipeline))
  yield* postgres.transaction((sql) => makeCandidates(source.stateSchema, pipeline).sweep(sql))
  return generation
})

/** Says that a pipeline runs, and does all of its work, until one part fails. */
export const whileRunning = <A, E, R>(name: string, parts: ReadonlyArray<Effect.Effect<A, E, R>>) =>
  Effect.gen(function*() {
    ;(yield* PipelineObserver).state(name, "running")
    yield* Effect.logInfo("pipeline reads its topics")
    return yield* Effect.raceAllFirst(parts)
  })

/** Starts `work` again, with back-off, after a failure that can be retried. */
export const keepRunning = Effect.fnUntraced(function*<A, E extends Failure, R>(name: string, work: Effect.Effect<A, E, R>) {
  const observer = yield* PipelineObserver
  const running = Effect.scoped(Effect.andThen(Effect.sync(() => observer.state(name, "starting")), work))
  return yield* Effect.gen(function*() {
    for (let failures = 0;;) {
      const started = yield* Clock.currentTimeMillis
      const result = yield* Effect.result(running)
      if (result._tag === "Success") return result.success
      const error = result.failure
      observer.failed(name, error.reason, error.isRetryable)
      observer.state(name, error.isRetryable ? "retrying" : "stopped", error.message)
      if (!error.isRetryable) return yield* Effect.andThen(Effect.logError("pipeline stopped"), Effect.fail(error))
      failures = (yield* Clock.currentTimeMillis) - started > steadyMillis ? 1 : failures + 1
      // A new broker's first answers are refusals ("coordinator is loading"): news only if they go on, and then once; /readyz has the last.
      const tell = failures < newsworthy ? Effect.logInfo : failures === newsworthy ? Effect.logWarning : Effect.logDebug
      yield* tell(`pipeline will try again: ${error.message}`)
      yield* Effect.sleep(Duration.millis(Math.min(firstDelayMillis * 2 ** (failures - 1), maxDelayMillis)))
    }
  }).pipe(Effect.annotateLogs({ pipeline: name }))
})

interface Failure {
  readonly reason: string
  readonly isRetryable: boolean
  readonly message: string
}

/** The failure in a row that is logged as a warning. */
const newsworthy = 4
const firstDelayMillis = 100
const maxDelayMillis = 2_000
/** Who ran that long begins again with the first delay. */
const steadyMillis = 10_000

/** Finds the checkpoint of a generation, and joins its consumer group. */
export const openGeneration = Effect.fnUntraced(function*(
  { breaker, generation, pipeline, setAside }: Pick<MaterializerOptions, "pipeline" | "generation" | "setAside"> & { readonly breaker: Breaker }
) {
  const { consume, kafka, pipelines, source } = yield* AppConfig
  const topics = TopicName.ofSources(kafka.topicPrefix, pipeline.sources)
  const materializer = yield* makeMaterializer({
    pipeline,
    stateSchema: source.stateSchema,
    generation,
    topics,
    setAside,
    breaker
  })
  const { nextOffsets, skip } = yield* openCheckpoint(generation.name, topics, materializer)
  const queue = yield* openReader({
    groupId: TopicName.groupOfPipeline(kafka.topicPrefix, generation.name),
    remedy: replay(pipeline.name),
    topics,
    maxBytesPerPartition: consume.maxBytesPerPartition,
    lingerMillis: pipelines.lingerMillis[pipeline.name] ?? 0,
    nextOffsets,
    skip
  })
  return { materializer, queue, topics }
})

/**
 * Transactions of one instance that run side by side: while Postgres is at work on one, what comes next is read and folded. They are as two
 * instances are: no partition is in both, and locks keep their groups apart. More would wait for one thread of ours.
 */
export const sideBySide = 2

/** Applies all that is fetched, for ever. `before` each step, it waits for what is given. */
export const applyAll = Effect.fnUntraced(function*<E = never, R = never>(
  name: string,
  queue: Effect.Success<ReturnType<typeof openReader>>,
  materializer: Materializer,
  before: Effect.Effect<void, E, R> = Effect.void as Effect.Effect<void, E, R>
) {
  const { consume } = yield* AppConfig
  return yield* Effect.forever(Effect.gen(function*() {
    const fetched = yield* Queue.takeAll(queue)
    yield* Effect.forEach(plan(fetched, consume.maxBatchChanges), (sequence) => carryOut(name, materializer, sequence, before), { concurrency: sideBySide, discard: true })
  }))
})

/** Applies a sequence; where another instance was faster, it is read again from where the checkpoint stands. */
const carryOut = <E, R>(name: string, materializer: Materializer, { fetched, steps }: Sequence, before: Effect.Effect<void, E, R>) =>
  Effect.forEach(steps, (step) => Effect.andThen(before, applyStep(name, materializer, step)), { discard: true }).pipe(
    Effect.matchEffect({
      onSuccess: () => Effect.sync(() => fetched.forEach((batch) => batch.applied())),
      onFailure: (error) => {
        if (!(error instanceof PipelineError) || error.reason !== "superseded") return Effect.fail(error)
        for (const batch of fetched) batch.reread()
        return Effect.logInfo(error.message)
      }
    })
  )

const applyStep = (name: string, materializer: Materializer, step: Step) => {
  const applied = step._tag === "Apply" ? apply(name, materializer, step) : materializer.applyTruncate(step.batch, step.truncate)
  return applied.pipe(whileContended(name), whilePaused(name))
}

/**
 * A transaction of the hub is in the way: it will be gone soon. Tried again after 10 ms, doubling to 500 ms; after some ten seconds
 * the failure is the pipeline's, which says so and begins anew. Each is counted.
 */
const whileContended = (name: string) => <A, E extends { readonly reason: string; readonly code?: string }, R>(work: Effect.Effect<A, E, R>) =>
  Effect.flatMap(PipelineObserver, (observer) =>
    work.pipe(
      Effect.tapError((error) => Effect.sync(() => {
        if (error.reason === "contended") observer.failed(name, isDeadlock(error) ? "deadlock" : "contended", true)
      })),
      Effect.retry({
        while: (error) => error.reason === "contended",
        schedule: Schedule.min([Schedule.exponential("10 millis"), Schedule.spaced("500 millis")]),
        times: 25
      })
    ))

/** SQLSTATE 40P01. Among ourselves locks are taken in one order; what is left are those of an instance that scores again under new settings. */
const isDeadlock = (error: { readonly code?: string }): boolean => error.code === "40P01"

const apply = Effect.fnUntraced(function*(name: string, materializer: Materializer, step: Extract<Step, { _tag: "Apply" }>) {
  const observer = yield* PipelineObserver
  const start = yield* Clock.currentTimeMillis
  const { bad, ...applied } = yield* materializer.apply(step.batches)
  const durationSeconds = ((yield* Clock.currentTimeMillis) - start) / 1000
  observer.applied(pipelineOf(name), { ...applied, durationSeconds })
  for (const { reason } of bad) observer.deadLetters(pipelineOf(name), reason, 1)
})

/**
 * Tries again what the hub held, and writes what was too much for one transaction; compares what a switch of generations may have changed. At once
 * while that gets on, and when a batch leaves more to write; else after a pause.
 */
const retryPendingAll = Effect.fnUntraced(function*(name: string, materializer: Materializer) {
  const { pipelines } = yield* AppConfig
  const pause = Effect.sleep(`${pipelines.pendingRetrySeconds} seconds`)
  const retry = whileContended(name)(materializer.retryPending)
  const reconcile = whileContended(name)(materializer.reconcile)
  return yield* Effect.forever(Effect.gen(function*() {
    yield* materializer.surplus.close
    const { settled } = yield* retry
    const isMoreToCompare = yield* reconcile
    if (settled === 0 && !isMoreToCompare) yield* Effect.race(pause, materializer.surplus.await)
  }))
})

/**
 * Writes what time alone changes, as it falls due; looks at least every second, since a batch may have made something due sooner.
 * Waits while capture is so far behind that more WAL could cost it the slot.
 */
const wakeAll = Effect.fnUntraced(function*(name: string, materializer: Materializer) {
  const gate = yield* WalHeadroom.makePipelineGate(name, { waits: "timers wait", goesOn: "timers go on" })
  const wake = Effect.andThen(gate, whileContended(name)(materializer.wake))
  return yield* Effect.forever(Effect.flatMap(wake, ({ nextIn, woken }) =>
    woken > 0 && nextIn !== null && nextIn <= 0n ? Effect.void : Effect.sleep(Duration.millis(pauseMillis(nextIn)))))
})

/** Resolved letters are remembered for as long as their records are kept. */
const prunePeriodically = Effect.fnUntraced(function*(name: string, { pruneLetters }: Materializer) {
  const { kafka } = yield* AppConfig
  const prune = whileContended(name)(pruneLetters(kafka.deadLetterRetentionHours))
  return yield* Effect.forever(Effect.flatMap(prune, (pruned) => pruned > 0 ? Effect.void : Effect.sleep("1 hour")))
})

/** At least 100 ms: what is due and was not taken is another instance's. */
const pauseMillis = (nextIn: bigint | null): number =>
  nextIn === null || nextIn > 1_000_000n ? 1_000 : Math.max(100, Math.ceil(Number(nextIn) / 1_000))
