import { Effect, Layer } from "effect"
import { AppConfig } from "../Config.ts"
import { Kafka } from "../connections/Kafka.ts"
import { Postgres } from "../connections/Postgres.ts"
import * as Log from "../observability/Log.ts"
import { Progress } from "../run/Progress.ts"
import { ConfigFile } from "./ConfigFile.ts"

/**
 * What every verb works with: the configuration, logs as it wants them, Postgres and Kafka, and how far the system is.
 * Connects at first use, so what a verb does not need may be down.
 */
export const layer = Layer.unwrap(Effect.map(ConfigFile, (file) =>
  Progress.layer.pipe(
    Layer.provideMerge(Layer.mergeAll(Postgres.layer, Kafka.layer, Log.layer)),
    Layer.provideMerge(AppConfig.layer(file))
  )))
