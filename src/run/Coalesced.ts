import { Deferred, Effect, type Scope, Semaphore } from "effect"

/**
 * Lets concurrent requests share computations. Whoever comes while no computation may start waits for the next one,
 * together with all who came meanwhile: an answer never rests on anything read before its request came. A computation
 * lives in `scope`, not in the request that began it, so that a client who hangs up takes nobody with it.
 */
export const coalesced = <A, E>(compute: Effect.Effect<A, E>, scope: Scope.Scope, atOnce: number): Effect.Effect<A, E> => {
  const starting = Semaphore.makeUnsafe(atOnce)
  let next: Deferred.Deferred<A, E> | undefined
  const run = (answer: Deferred.Deferred<A, E>) =>
    Effect.suspend(() => {
      next = undefined
      return Deferred.into(compute, answer)
    }).pipe(starting.withPermit, Effect.forkIn(scope))

  return Effect.suspend(() => {
    if (next !== undefined) return Deferred.await(next)
    const answer = next = Deferred.makeUnsafe<A, E>()
    return Effect.andThen(run(answer), Deferred.await(answer))
  })
}
