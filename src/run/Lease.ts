import { Deferred, Effect, type Scope } from "effect"
import { CaptureError } from "../capture/CaptureError.ts"
import type * as TopicWriter from "../publish/TopicWriter.ts"

/**
 * Whether this process may still write. The server takes the slot from a process that says nothing for `wal_sender_timeout`:
 * one that was frozen for long (SIGSTOP, a paused machine) has probably been replaced, and on waking up finds seconds of WAL
 * in its socket, which its successor has published already. It must not write that behind it.
 */
export interface Lease extends TopicWriter.Lease {
  /** As far as this process can know; asked immediately before a send, when no timer has told yet. */
  readonly isHeld: () => boolean
  /** Fails once it is not held any more; never succeeds. */
  readonly lost: Effect.Effect<never, CaptureError>
}

/** Held for as long as the event loop never stands still for `millis`. By the wall clock, which also counts a suspended machine's sleep. */
export const hold = Effect.fnUntraced(function*(millis: number): Effect.fn.Return<Lease, never, Scope.Scope> {
  const lost = yield* Deferred.make<never, CaptureError>()
  let lastBeat = Date.now()
  let isLost = false
  const check = () => {
    const now = Date.now()
    const pause = now - lastBeat
    lastBeat = now
    if (isLost || pause <= millis) return
    isLost = true
    Deferred.doneUnsafe(lost, Effect.fail(
      new CaptureError({
        reason: "interrupted",
        message: `This process stood still for ${(pause / 1000).toFixed(1)} s; another one may read the slot by now`
      })
    ))
  }
  yield* Effect.acquireRelease(
    Effect.sync(() => setInterval(check, millis / 8)),
    (beating) => Effect.sync(() => clearInterval(beating))
  )
  return {
    isHeld: () => {
      check()
      return !isLost
    },
    lost: Deferred.await(lost)
  }
})
