import { Effect, Layer } from "effect"
import packageJson from "../../package.json" with { type: "json" }
import { AppConfig } from "../Config.ts"
import type { Kafka } from "../connections/Kafka.ts"
import type { Postgres } from "../connections/Postgres.ts"
import { Health } from "../observability/Health.ts"
import * as Metrics from "../observability/Metrics.ts"
import { Connectivity } from "../run/Connectivity.ts"
import * as HttpApi from "../run/HttpApi.ts"
import * as ObservedCapture from "../run/ObservedCapture.ts"
import * as ObservedPipelines from "../run/ObservedPipelines.ts"

/** A part of the system that runs until it is stopped, or until it fails for good. */
export interface Part {
  /** As `/readyz` and the logs call it. */
  readonly name: string
  readonly run: Effect.Effect<unknown, StageError, AppConfig | Kafka | Postgres>
}

/** Any stage's error class; `ExitCode.ts` tells them apart. */
interface StageError {
  readonly _tag: string
  readonly message: string
  readonly reason?: string
}

/**
 * Runs parts side by side, with the HTTP API, until Ctrl-C or SIGTERM. The first that fails for good stops the others:
 * a supervisor sees the exit code, and nothing runs on half. Parts stop first, then HTTP, then the connections.
 */
export const serve = (parts: ReadonlyArray<Part>, hub?: HttpApi.HubControl) =>
  Effect.gen(function*() {
    yield* (yield* Connectivity).require // once running, what can't be reached is waited for
    yield* Effect.provide(runAll(parts), Layer.mergeAll(HttpApi.layer(hub), ObservedCapture.layer, ObservedPipelines.layer))
  }).pipe(Effect.provide(Layer.merge(Health.layer, Connectivity.layer)))

const runAll = Effect.fnUntraced(function*(parts: ReadonlyArray<Part>) {
  const { http } = yield* AppConfig
  const health = yield* Health
  Metrics.buildInfo(packageJson.version)
  yield* Effect.logInfo(`status page at ${urlOf(http)}`)
  for (const { name } of parts) health.expect(name)
  yield* Effect.all(parts.map(supervised), { concurrency: "unbounded", discard: true })
})

const supervised = (part: Part) =>
  part.run.pipe(Effect.tapError((error) =>
    Effect.gen(function*() {
      const health = yield* Health
      health.failing(part.name, error.message)
      yield* Effect.logError(`${part.name} stopped for good`, { reason: error.reason ?? error._tag })
    })
  ))

/** The page as a person on this machine opens it. */
export const urlOf = ({ host, port }: AppConfig["Service"]["http"]): string => {
  const name = host === "0.0.0.0" || host === "::" ? "127.0.0.1" : host.includes(":") ? `[${host}]` : host
  return `http://${name}:${port}/`
}
