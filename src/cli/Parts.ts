import { Effect, Redacted } from "effect"
import { catalogue } from "../../pipelines/Catalogue.ts"
import { requireDirect } from "../capture/Preflight.ts"
import { AppConfig, ConfigurationError } from "../Config.ts"
import { sentence } from "../domain/Finding.ts"
import * as CaptureLoop from "../run/CaptureLoop.ts"
import { requireReadable } from "../run/ColumnChecks.ts"
import { modeProblems } from "../run/PipelineChecks.ts"
import { captureCheck } from "../run/ObservedCapture.ts"
import { checkOf } from "../run/ObservedPipelines.ts"
import { runInShadow } from "../run/CandidateLoop.ts"
import { runPipeline } from "../run/PipelineLoop.ts"

/** The names that `pipelines/Catalogue.ts` knows. */
export const pipelineNames: ReadonlyArray<string> = Object.keys(catalogue)

/** Before anything is reached: who captures through a pooler would else hear of names and time-outs only. */
export const requireDirectEndpoint = Effect.flatMap(AppConfig, ({ source }) => requireDirect(new URL(Redacted.value(source.databaseUrl)).hostname))

/** From the WAL to the topics. */
export const capture = { name: captureCheck, run: CaptureLoop.run }

/**
 * From the topics to the aggregates, a part for each name. Fails if there is no such pipeline, its settings are wrong, or the
 * topics are written in a mode that no pipeline reads.
 */
export const pipelines = Effect.fnUntraced(function*(names: ReadonlyArray<string>) {
  const { pipelineSettings, pipelines: { modes }, types } = yield* AppConfig
  const [unreadable] = modeProblems(types)
  if (unreadable !== undefined) return yield* new ConfigurationError({ message: sentence(unreadable) })
  return yield* Effect.forEach(new Set(names), (name) => Effect.map(definition(name, pipelineSettings[name]), (pipeline) => ({
    name: checkOf(name),
    run: Effect.andThen(requireReadable(pipeline), modes[name] === "shadow" ? runInShadow(pipeline) : runPipeline(pipeline))
  })))
})

/** All that run with these settings. Fails as `definition` does. */
export const enabled = Effect.gen(function*() {
  const { pipelineSettings, pipelines } = yield* AppConfig
  return yield* Effect.forEach(new Set(pipelines.enabled), (name) => definition(name, pipelineSettings[name]))
})

/** A pipeline as the configuration makes it; without settings in it, by none. Fails if there is no such pipeline, or its settings are wrong. */
export const definition = (name: string, settings: unknown) =>
  Effect.try({
    try: () => {
      if (!Object.hasOwn(catalogue, name)) throw new Error(`there is no such pipeline; there are ${pipelineNames.join(", ")}`)
      return catalogue[name]!(settings ?? {})
    },
    catch: (cause) => new ConfigurationError({ message: `Pipeline ${name}: ${(cause as Error).message}` })
  })
