import { Effect } from "effect"
import { catalogue } from "../../pipelines/Catalogue.ts"
import { AppConfig, ConfigurationError } from "../Config.ts"
import * as CaptureLoop from "../run/CaptureLoop.ts"
import { captureCheck } from "../run/ObservedCapture.ts"
import { checkOf } from "../run/ObservedPipelines.ts"
import { runPipeline } from "../run/PipelineLoop.ts"

/** The names that `pipelines/Catalogue.ts` knows. */
export const pipelineNames: ReadonlyArray<string> = Object.keys(catalogue)

/** From the WAL to the topics. */
export const capture = { name: captureCheck, run: CaptureLoop.run }

/** From the topics to the aggregates, a part for each name. Fails if there is no such pipeline, or its settings are wrong. */
export const pipelines = Effect.fnUntraced(function*(names: ReadonlyArray<string>) {
  const { pipelineSettings } = yield* AppConfig
  return yield* Effect.forEach(new Set(names), (name) => Effect.map(definition(name, pipelineSettings[name]), (pipeline) => ({
    name: checkOf(name),
    run: runPipeline(pipeline)
  })))
})

/** A pipeline as the configuration makes it. Fails if there is no such pipeline, or its settings are wrong. */
export const definition = (name: string, settings: unknown) =>
  Effect.try({
    try: () => {
      if (!Object.hasOwn(catalogue, name)) throw new Error(`there is no such pipeline; there are ${pipelineNames.join(", ")}`)
      return catalogue[name]!(settings)
    },
    catch: (cause) => new ConfigurationError({ message: `Pipeline ${name}: ${(cause as Error).message}` })
  })
