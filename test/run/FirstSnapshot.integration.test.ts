import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as CaptureState from "../../src/capture/CaptureState.ts"
import * as FirstSnapshot from "../../src/run/FirstSnapshot.ts"
import { slotOf } from "../support/TestConfig.ts"
import { withCapture } from "./CaptureFixture.ts"

describe("the first snapshot", () => {
  it.live("is let go by who finds that another process has begun it", () =>
    withCapture({ tables: "public.items", ddl: "create table public.items (id int primary key)" }, (capture) =>
      Effect.gen(function*() {
        yield* capture.setup
        yield* capture.sql("update cdc.capture set snapshot = 'reading'")
        const slot = slotOf(capture.database.name)
        const begin = FirstSnapshot.begin(CaptureState.make("cdc", slot), slot, [{ schema: "public", table: "items" }], { epoch: 1, note: () => Effect.void })
        yield* capture.provide(Effect.scoped(Effect.gen(function*() {
          assert.isUndefined(yield* Effect.retry(begin, { while: (error) => error.isRetryable }))
          // While its session goes on: fails if anybody still holds a lock.
          yield* capture.sql("begin; lock table public.items in access exclusive mode nowait; commit")
        })))
      })))
})
