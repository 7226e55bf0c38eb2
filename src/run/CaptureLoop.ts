import { Duration, Effect } from "effect"
import type { AppConfig } from "../Config.ts"
import type { Kafka } from "../connections/Kafka.ts"
import type { Postgres } from "../connections/Postgres.ts"
import type { CaptureFailure } from "./CaptureFailure.ts"
import { CaptureObserver } from "./CaptureObserver.ts"
import * as CaptureSession from "./CaptureSession.ts"

/** Back-off between sessions: a restarted Postgres is picked up within seconds. */
const firstDelayMillis = 100
const maxDelayMillis = 2_000

/**
 * From the WAL to Kafka, for ever: the first snapshot if it isn't done, then the stream. What can pass by itself is
 * retried from the slot; it fails with what a person must settle.
 *
 * Guarantees: every committed change of a captured table reaches its topic, in commit order per partition; the slot is
 * confirmed only to the end of a transaction all of whose records, and everything before, Kafka has acknowledged;
 * what a topic already holds is not written again. Memory holds what the socket may buffer and two batches.
 */
export const run: Effect.Effect<never, CaptureFailure, AppConfig | Kafka | Postgres> = Effect.gen(function*() {
  const observer = yield* CaptureObserver
  let delay = firstDelayMillis
  for (;;) {
    const started = Date.now()
    const error = yield* Effect.flip(Effect.scoped(CaptureSession.run))
    if (!error.isRetryable && !isTooLarge(error)) return yield* Effect.fail(error)
    observer.retrying(error)
    if (Date.now() - started > maxDelayMillis * 2) delay = firstDelayMillis
    yield* Effect.logWarning(`capture interrupted, going on from the slot in ${delay} ms: ${error.message}`)
    yield* Effect.sleep(Duration.millis(delay))
    delay = Math.min(delay * 2, maxDelayMillis)
  }
})

/** Somebody lowered a topic's limit meanwhile: the next session reads it anew, and encodes within it. */
const isTooLarge = (error: CaptureFailure): boolean => error._tag === "KafkaError" && error.reason === "tooLarge"
