import { Effect, Layer } from "effect"
import { Health } from "../observability/Health.ts"
import * as Metrics from "../observability/Metrics.ts"
import { PipelineObserver } from "./PipelineObserver.ts"

/** The check of a pipeline in `/readyz`. */
export const checkOf = (pipeline: string): string => `pipeline ${pipeline}`

/** What running pipelines tell becomes checks and metrics. */
export const layer = Layer.effect(PipelineObserver, Effect.map(Health, (health): PipelineObserver => ({
  state: (pipeline, state, why) => {
    Metrics.paused(pipeline, state === "paused")
    if (state === "running") health.ok(checkOf(pipeline), why)
    // Started again after a failure, it goes on saying why it does not run.
    else if (state !== "starting") health.failing(checkOf(pipeline), why ?? state)
  },
  applied: (pipeline, { changes, commitMicros, durationSeconds }) =>
    Metrics.applied({ pipeline, changes, seconds: durationSeconds, atMillis: Date.now(), commitMicros }),
  deadLetters: Metrics.deadLetters,
  failed: (pipeline, reason, isRetryable) => Metrics.failed(checkOf(pipeline), reason, isRetryable)
})))
