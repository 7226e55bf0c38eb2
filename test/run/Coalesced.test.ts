import { Deferred, Effect, Exit, Fiber } from "effect"
import { assert, it } from "@effect/vitest"
import { coalesced } from "../../src/run/Coalesced.ts"

/** A computation that counts its starts, and ends when it is told to. */
const counted = () => {
  const gates: Array<Deferred.Deferred<void, string>> = []
  const compute = Effect.suspend(() => {
    const gate = Deferred.makeUnsafe<void, string>()
    const number = gates.push(gate)
    return Effect.as(Deferred.await(gate), number)
  })
  return { compute, gates }
}

it.effect("requests that come while one computes share the next, which begins after they came", () =>
  Effect.scoped(Effect.gen(function*() {
    const { compute, gates } = counted()
    const ask = coalesced(compute, yield* Effect.scope, 1)
    const request = Effect.forkChild(ask, { startImmediately: true })
    const first = yield* request
    while (gates.length < 1) yield* Effect.yieldNow
    const later = yield* Effect.all([request, request, request])
    yield* Effect.yieldNow
    assert.lengthOf(gates, 1)
    yield* Deferred.succeed(gates[0]!, undefined)
    assert.strictEqual(yield* Fiber.join(first), 1)
    while (gates.length < 2) yield* Effect.yieldNow
    yield* Deferred.succeed(gates[1]!, undefined)
    assert.deepStrictEqual(yield* Effect.forEach(later, Fiber.join), [2, 2, 2])
    assert.lengthOf(gates, 2)
  })))

it.effect("a client that hangs up takes nobody with it, and a failure reaches all who asked", () =>
  Effect.scoped(Effect.gen(function*() {
    const { compute, gates } = counted()
    const ask = coalesced(compute, yield* Effect.scope, 1)
    const request = Effect.forkChild(ask, { startImmediately: true })
    const blocking = yield* request
    while (gates.length < 1) yield* Effect.yieldNow
    const [leader, follower] = yield* Effect.all([request, request])
    yield* Fiber.interrupt(leader)
    yield* Deferred.succeed(gates[0]!, undefined)
    yield* Fiber.join(blocking)
    while (gates.length < 2) yield* Effect.yieldNow
    yield* Deferred.fail(gates[1]!, "broken")
    assert.deepStrictEqual(yield* Fiber.await(follower), Exit.fail("broken"))
  })))
