import { Deferred, Effect } from "effect"
import type { TableGap } from "../../src/capture/CapturedTables.ts"
import * as CaptureObserver from "../../src/run/CaptureObserver.ts"
import * as TableWatch from "../../src/run/TableWatch.ts"
import type { CaptureUnderTest } from "./CaptureFixture.ts"

/** The gaps of a capture that runs with these services, as it tells them. */
export const observeGaps = () => {
  const waitingForEvents = new Set<{ readonly count: number; readonly seen: Deferred.Deferred<ReadonlyArray<string>> }>()
  const waiting = new Set<{ readonly is: (gaps: ReadonlyArray<TableGap>) => boolean; readonly seen: Deferred.Deferred<ReadonlyArray<TableGap>> }>()
  const observer: CaptureObserver.CaptureObserver = {
    ...CaptureObserver.silent,
    gaps: (gaps) => {
      for (const waiter of waiting) {
        if (!waiter.is(gaps)) continue
        waiting.delete(waiter)
        Deferred.doneUnsafe(waiter.seen, Effect.succeed(gaps))
      }
    },
    eventGaps: (topics) => {
      for (const waiter of waitingForEvents) if (waiter.count === topics.length) Deferred.doneUnsafe(waiter.seen, Effect.succeed(topics))
    }
  }
  /** Until a look from now on finds such gaps. */
  const until = (is: (gaps: ReadonlyArray<TableGap>) => boolean) =>
    Effect.suspend(() => {
      const waiter = { is, seen: Deferred.makeUnsafe<ReadonlyArray<TableGap>>() }
      waiting.add(waiter)
      return Deferred.await(waiter.seen)
    })
  const observed = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
    effect.pipe(
      Effect.provideService(CaptureObserver.CaptureObserver, observer),
      Effect.provideService(TableWatch.Pace, { checkMillis: 100, checksPerTopicCheck: 2 })
    )
  return {
    observed,
    /** Of one table, why. */
    gapOf: (table: string) => Effect.map(until((gaps) => gaps.some((gap) => gap.table === table)), (gaps) => gaps.find((gap) => gap.table === table)!),
    /** Until a look from now on finds so many topics of events gone. */
    eventGapsAre: (count: number) =>
      Effect.suspend(() => {
        const waiter = { count, seen: Deferred.makeUnsafe<ReadonlyArray<string>>() }
        waitingForEvents.add(waiter)
        return Deferred.await(waiter.seen)
      }),
    none: until((gaps) => gaps.length === 0)
  }
}

/** Sets capture up and starts it: it has read everything when this returns, and tells its gaps. */
export const startObserved = Effect.fnUntraced(function*(capture: CaptureUnderTest) {
  const gaps = observeGaps()
  yield* capture.setup
  const fiber = yield* gaps.observed(capture.start)
  yield* capture.caughtUp
  yield* capture.caughtUp // the first one's row may have been in the snapshot
  return { ...gaps, fiber }
})
