import { Deferred, Effect, type Scope, Semaphore } from "effect"

/**
 * One send under way while the next is being made: the bound on what is in memory, and what keeps Kafka busy while
 * we encode. `submit` waits for the send before it; a failed send fails `failure`, and nothing after it is begun.
 */
export interface SendAhead<E> {
  readonly submit: (send: Effect.Effect<void, E>) => Effect.Effect<void>
  /** Until everything submitted is done. */
  readonly flush: Effect.Effect<void>
  /** Never succeeds; to be raced with the work that submits. */
  readonly failure: Effect.Effect<never, E>
}

export const make = Effect.fnUntraced(function*<E>(): Effect.fn.Return<SendAhead<E>, never, Scope.Scope> {
  const scope = yield* Effect.scope
  const failed = yield* Deferred.make<never, E>()
  const turn = yield* Semaphore.make(1)
  return {
    submit: (send) =>
      Effect.andThen(
        turn.take(1),
        // A failed send keeps its turn: whoever waits is interrupted by the failure, and must not go on before.
        Effect.forkIn(Effect.matchCauseEffect(send, {
          onFailure: (cause) => Deferred.failCause(failed, cause),
          onSuccess: () => turn.release(1)
        }), scope)
      ).pipe(Effect.asVoid),
    flush: turn.withPermits(1)(Effect.void),
    failure: Deferred.await(failed)
  }
})
