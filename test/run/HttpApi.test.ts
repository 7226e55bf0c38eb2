import { assert, it } from "@effect/vitest"
import { Deferred, Effect, Fiber, Layer } from "effect"
import { TestClock } from "effect/testing"
import { AppConfig } from "../../src/Config.ts"
import { type Check, Health } from "../../src/observability/Health.ts"
import { Connectivity } from "../../src/run/Connectivity.ts"
import * as HttpApi from "../../src/run/HttpApi.ts"
import { Progress } from "../../src/run/Progress.ts"
import { freePort } from "../support/CdcProcess.ts"

it.effect("/status says within seconds who does not answer, where a frozen server would keep it waiting for half a minute", () =>
  Effect.gen(function*() {
    const port = yield* Effect.promise(freePort)
    const asked = yield* Deferred.make<void>()
    const forEver = Effect.andThen(Deferred.succeed(asked, undefined), Effect.never)
    const frozen: Check = { name: "kafka", state: "failing", reason: "no answer within 1.5 s", since: "2026-01-01T00:00:00.000Z" }
    const services = Layer.mergeAll(
      AppConfig.layerOf({ source: { databaseUrl: "postgres://nobody@nowhere/" }, kafka: { brokers: "nobody:1" }, http: { port } }),
      Health.layer,
      Layer.succeed(Connectivity, Connectivity.of({ checks: Effect.succeed([frozen]), require: Effect.void })),
      Layer.succeed(Progress, Progress.of({ status: forEver, waitUntilApplied: () => forEver, recordMetrics: forEver }))
    )
    yield* Effect.gen(function*() {
      const answer = yield* Effect.forkChild(Effect.promise(() => fetch(`http://127.0.0.1:${port}/status`)))
      yield* Deferred.await(asked)
      yield* TestClock.adjust("9 seconds")
      const response = yield* Fiber.join(answer)
      assert.strictEqual(response.status, 503)
      assert.deepInclude(yield* Effect.promise(() => response.json()), {
        caughtUp: false,
        error: "Postgres or Kafka has not answered within 8 seconds: kafka: no answer within 1.5 s"
      })
    }).pipe(Effect.provide(HttpApi.layer()), Effect.provide(services))
  }))
