import { Effect } from "effect"
import { AppConfig } from "../Config.ts"
import type { KafkaError } from "../connections/KafkaError.ts"
import { Postgres } from "../connections/Postgres.ts"
import type { PostgresError } from "../connections/PostgresError.ts"
import { pipelineOf } from "../materialize/Generation.ts"
import { hasMore, makePause } from "../materialize/Pause.ts"
import { PipelineError } from "../materialize/PipelineError.ts"
import { stateTables } from "../materialize/StateTables.ts"
import { PipelineObserver } from "./PipelineObserver.ts"

/** How often a pause is noted for whoever asks, and acceptance looked for. */
const noteEvery = "1 second"

/**
 * Stands still when the breaker trips, says so, and tries the same work again once a person has accepted the bad records. Meanwhile
 * the process keeps its partitions, and what time alone changes is written.
 */
export const whilePaused = (generation: string) =>
<A, R>(work: Effect.Effect<A, PostgresError | PipelineError | KafkaError, R>) =>
  Effect.gen(function*() {
    const pipeline = pipelineOf(generation)
    const observer = yield* PipelineObserver
    const postgres = yield* Postgres
    const pause = makePause(stateTables((yield* AppConfig).source.stateSchema, "", 1), generation)
    while (true) {
      const result = yield* Effect.result(work)
      if (result._tag === "Success") return result.success
      const why = result.failure
      if (why._tag !== "PipelineError" || why.reason !== "paused") return yield* Effect.fail(why)
      yield* Effect.logError(why.message)
      const known = yield* pause.accepted(postgres)
      while (!hasMore(known, yield* pause.note(postgres, why.message))) {
        observer.state(pipeline, "paused", why.message) // again and again: the timers go on, and may have said that they run
        yield* Effect.sleep(noteEvery)
      }
      yield* pause.over(postgres)
      observer.state(pipeline, "running")
      yield* Effect.logInfo("the bad records are accepted: pipeline goes on")
    }
  })
