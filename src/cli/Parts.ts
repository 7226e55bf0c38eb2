import { Effect } from "effect"
import { catalogue } from "../../pipelines/Catalogue.ts"
import { AppConfig, ConfigurationError, type Settings } from "../Config.ts"
import { unavailableValue } from "../domain/UnavailableValue.ts"
import * as CaptureLoop from "../run/CaptureLoop.ts"
import { captureCheck } from "../run/ObservedCapture.ts"
import { checkOf } from "../run/ObservedPipelines.ts"
import { runPipeline } from "../run/PipelineLoop.ts"

/** The names that `pipelines/Catalogue.ts` knows. */
export const pipelineNames: ReadonlyArray<string> = Object.keys(catalogue)

/** From the WAL to the topics. */
export const capture = { name: captureCheck, run: CaptureLoop.run }

/**
 * From the topics to the aggregates, a part for each name. Fails if there is no such pipeline, its settings are wrong, or the
 * topics are written in a mode that no pipeline reads.
 */
export const pipelines = Effect.fnUntraced(function*(names: ReadonlyArray<string>) {
  const { pipelineSettings, types } = yield* AppConfig
  yield* requireReadable(types)
  return yield* Effect.forEach(new Set(names), (name) => Effect.map(definition(name, pipelineSettings[name]), (pipeline) => ({
    name: checkOf(name),
    run: runPipeline(pipeline)
  })))
})

/** Pipelines read decimals as text, and know a value that is not there by its placeholder. All other modes are the same to them. */
const requireReadable = ({ decimalHandlingMode, unavailableValuePlaceholder }: Settings["types"]) => {
  if (decimalHandlingMode !== "string") {
    return new ConfigurationError({
      message: `types.decimalHandlingMode is ${decimalHandlingMode}, and the pipelines read decimals as text: set it to string, or run \`cdc capture\` alone.`
    })
  }
  if (unavailableValuePlaceholder !== unavailableValue) {
    return new ConfigurationError({
      message: "types.unavailableValuePlaceholder is not the one that the pipelines know, so they would take it for a value: " +
        `set it to ${unavailableValue}, or run \`cdc capture\` alone.`
    })
  }
  return Effect.void
}

/** A pipeline as the configuration makes it. Fails if there is no such pipeline, or its settings are wrong. */
export const definition = (name: string, settings: unknown) =>
  Effect.try({
    try: () => {
      if (!Object.hasOwn(catalogue, name)) throw new Error(`there is no such pipeline; there are ${pipelineNames.join(", ")}`)
      return catalogue[name]!(settings)
    },
    catch: (cause) => new ConfigurationError({ message: `Pipeline ${name}: ${(cause as Error).message}` })
  })
