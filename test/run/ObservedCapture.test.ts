import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { AppConfig } from "../../src/Config.ts"
import { format, Health, isReady } from "../../src/observability/Health.ts"
import { CaptureObserver } from "../../src/run/CaptureObserver.ts"
import * as ObservedCapture from "../../src/run/ObservedCapture.ts"

const services = ObservedCapture.layer.pipe(
  Layer.provideMerge(Health.layer),
  Layer.provide(AppConfig.layerOf({ source: { databaseUrl: "postgres://nowhere" }, kafka: { brokers: "nowhere:1" } }))
)

describe("readiness", () => {
  it.effect("names each table of which changes may be missing, and the remedy, until there is none", () =>
    Effect.gen(function*() {
      const health = yield* Health
      const observer = yield* CaptureObserver
      observer.running()
      observer.gaps([{ table: "public.a", why: "it was dropped", remedy: "read it again" }, { table: "public.b", why: "its topic is gone", remedy: "cdc setup" }])
      assert.isFalse(isReady(health.checks()))
      assert.match(format(health.checks()), /-\]captured tables failing: public\.a: it was dropped \(remedy: read it again\); public\.b: its topic is gone/)
      observer.gaps([])
      assert.isTrue(isReady(health.checks()))
    }).pipe(Effect.provide(services)))
})
