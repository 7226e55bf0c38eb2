import { Context, Effect, Latch, Layer, Schedule, Semaphore } from "effect"
import { Postgres, type Sql } from "../../connections/Postgres.ts"
import type { PostgresError } from "../../connections/PostgresError.ts"
import * as Companies from "./CompanyOperations.ts"
import * as Operations from "./Operations.ts"
import { seeded } from "./Random.ts"

export interface ActivityOptions {
  /** The same seed on the same rows does the same; on a hub that was active with it before, take another: ids come from it. */
  readonly seed: number
  /** Rows changed per second, about; 0: only what `runSteps` asks for. */
  readonly changesPerSecond: number
}

/**
 * Keeps the sample hub busy as the real one is: transaction after transaction of what its spokes, people and clean-ups
 * do. It never writes what the pipelines own, but for archiving. Loses no step to others' locks: it does it again.
 */
export class Activity extends Context.Service<Activity, {
  /** Comes back when no transaction of the loop is under way, and none begins until `resume`. */
  readonly pause: Effect.Effect<void>
  readonly resume: Effect.Effect<void>
  /** Does exactly `count` steps, paused or not, and answers how many rows they changed. */
  readonly runSteps: (count: number) => Effect.Effect<number, PostgresError>
  /** What was done so far, since the start. */
  readonly done: Effect.Effect<{ readonly steps: number; readonly changes: number }>
}>()("cdc/embedded/hub/Activity") {
  static readonly layer = (options: ActivityOptions) => Layer.effect(Activity, make(options))
}

const make = Effect.fnUntraced(function*({ changesPerSecond, seed }: ActivityOptions) {
  const postgres = yield* Postgres
  const running = yield* Latch.make(true)
  const oneAtATime = yield* Semaphore.make(1)
  let isPaused = false
  let steps = 0
  let changes = 0

  const step = Effect.suspend(() => {
    const number = steps++
    return doStep(postgres, seed, number).pipe(Effect.tap((changed) => Effect.sync(() => changes += changed)))
  })

  const loop = running.await.pipe(
    Effect.andThen(oneAtATime.withPermit(Effect.suspend(() => isPaused ? Effect.succeed(0) : step))),
    // A second's pause, and on: the database may be restarting, and nothing here is worth stopping for.
    Effect.catch((error) => Effect.as(Effect.logWarning(`The sample hub's activity goes on after a failure. ${error.message}`), changesPerSecond)),
    Effect.flatMap((changed) => Effect.sleep(1_000 * Math.max(changed, 1) / changesPerSecond)),
    Effect.forever
  )
  if (changesPerSecond > 0) yield* Effect.forkScoped(loop)

  return Activity.of({
    pause: running.close.pipe(
      Effect.andThen(Effect.sync(() => isPaused = true)),
      Effect.andThen(oneAtATime.withPermit(Effect.void)) // behind the step that is under way
    ),
    resume: Effect.andThen(Effect.sync(() => isPaused = false), running.open),
    runSteps: (count) =>
      Effect.gen(function*() {
        let changed = 0
        for (let i = 0; i < count; i++) changed += yield* oneAtATime.withPermit(step)
        return changed
      }),
    done: Effect.sync(() => ({ steps, changes }))
  })
})

/** Each step has a seed of its own, so that doing it again after a conflict is the same choice again. */
const doStep = (postgres: Postgres["Service"], seed: number, number: number): Effect.Effect<number, PostgresError> =>
  Effect.suspend(() => {
    const random = seeded(seed, "step", number)
    const operation = random.pick(deck)
    const work = (sql: Sql) => Effect.andThen(sql.query("Naming the session", "set local application_name = 'sample hub'"), operation(sql, random)) // it is nobody of ours
    return random.chance(0.02) ? rolledBack(postgres, work) : postgres.transaction(work)
  }).pipe(Effect.retry({ while: (error) => error.isRetryable, schedule: patience }))

/** 20 ms, 40 ms … one second, for about ten seconds: longer than anybody should hold a row. */
const patience = Schedule.exponential("20 millis").pipe(
  (delays) => Schedule.min([delays, Schedule.spaced("1 second")]),
  Schedule.upTo({ times: 15 })
)

/** Done, and then taken back, as when a spoke fails at its last statement: nothing of it may ever be seen. */
const rolledBack = (postgres: Postgres["Service"], work: (sql: Sql) => Effect.Effect<number, PostgresError>) =>
  postgres.transaction((sql) => Effect.andThen(work(sql), Effect.fail("take it back" as const))).pipe(
    Effect.catch((error) => error === "take it back" ? Effect.succeed(0) : Effect.fail(error))
  )

/** How often what happens, in parts of the whole. */
const mix: ReadonlyArray<readonly [parts: number, operation: Operations.Operation]> = [
  [28, Operations.emitSignals],
  [8, Operations.reviseSignal],
  [3, Operations.moveSignal],
  [4, Operations.withdrawSignals],
  [8, Operations.scheduleSends],
  [26, Operations.progressSend],
  [2, Operations.unsetSend],
  [2, Operations.moveSend],
  [2, Operations.deleteSend],
  [12, Operations.recordEvent],
  [4, Operations.recordDuplicate],
  [5, Operations.flagDuplicate],
  [2, Operations.moveEvent],
  [2, Operations.reassignEvent],
  [2, Operations.deleteEvent],
  [2, Operations.renumber],
  [5, Companies.enterCompany], // rather more than are archived, so that the sample never runs dry
  [2, Companies.moveOutreach],
  [1, Companies.archive],
  [4, Companies.editCampaign],
  [1, Companies.startCampaign],
  [3, Companies.spendAndFail],
  [1, Companies.halfTakenBack],
  [2, Companies.combine(Operations.emitSignals, Operations.progressSend, Operations.flagDuplicate, Operations.moveSignal)]
]
const deck = mix.flatMap(([parts, operation]) => Array.from({ length: parts }, () => operation))
