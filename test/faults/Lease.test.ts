import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { Kafka } from "../../src/connections/Kafka.ts"
import * as Lsn from "../../src/domain/Lsn.ts"
import type { OutgoingRecord } from "../../src/domain/OutgoingRecord.ts"
import * as TopicWriter from "../../src/publish/TopicWriter.ts"
import * as Lease from "../../src/run/Lease.ts"

/** The whole process stands still, as under SIGSTOP: no timer, no socket, nothing. */
const freeze = (millis: number): void => void Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, millis)

const record = (order: number): OutgoingRecord => ({
  topic: "t", partition: 0, key: null, value: null, headers: undefined, position: { epoch: 1, commitLsn: Lsn.Lsn(1n), order }
})

describe("the lease of a capture that was frozen", () => {
  it.live("is gone for the very next request, ends its session, and closes the producer", () =>
    Effect.scoped(Effect.gen(function*() {
      const lease = yield* Lease.hold(200)
      let sends = 0
      let isClosed = false
      const kafka = {
        producer: () => Effect.acquireRelease(
          Effect.succeed({ send: async () => (++sends === 1 ? freeze(300) : undefined) }),
          () => Effect.sync(() => void (isClosed = true))
        )
      } as unknown as Kafka["Service"]
      // Two records of which each fills a request: the process is frozen within the first.
      const writer = yield* TopicWriter.make({ clientId: "test", batchBytes: 1, lease }).pipe(Effect.provideService(Kafka, kafka))
      const writing = yield* Effect.forkChild(writer.write([record(1), record(2)]))
      const error = yield* Effect.flip(lease.lost)
      assert.strictEqual(error.reason, "interrupted")
      assert.isTrue(error.isRetryable)
      assert.match(error.message, /stood still for 0\.\d s/)
      yield* Fiber.interrupt(writing)
      assert.strictEqual(sends, 1)
      assert.isTrue(isClosed)
    })))

  it.live("outlives a short pause", () =>
    Effect.scoped(Effect.gen(function*() {
      const lease = yield* Lease.hold(5_000)
      freeze(100)
      assert.isTrue(lease.isHeld())
    })))
})
