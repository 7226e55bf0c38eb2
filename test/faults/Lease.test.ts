import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import type { TopicWriter } from "../../src/publish/TopicWriter.ts"
import * as Lease from "../../src/run/Lease.ts"

/** The whole process stands still, as under SIGSTOP: no timer, no socket, nothing. */
const freeze = (millis: number): void => void Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, millis)

describe("the lease of a capture that was frozen", () => {
  it.live("is gone for the very next write, and ends its session", () =>
    Effect.scoped(Effect.gen(function*() {
      const lease = yield* Lease.hold(200)
      let writes = 0
      const writer: TopicWriter = Lease.guard(lease, { write: () => Effect.sync(() => void writes++) })
      yield* writer.write([])
      assert.strictEqual(writes, 1)

      freeze(300)
      const writing = yield* Effect.forkChild(writer.write([]))
      const error = yield* Effect.flip(lease.lost)
      assert.strictEqual(error.reason, "interrupted")
      assert.isTrue(error.isRetryable)
      assert.match(error.message, /stood still for 0\.\d s/)
      yield* Fiber.interrupt(writing)
      assert.strictEqual(writes, 1)
    })))

  it.live("outlives a short pause", () =>
    Effect.scoped(Effect.gen(function*() {
      const lease = yield* Lease.hold(5_000)
      freeze(100)
      assert.isTrue(lease.isHeld())
    })))
})
