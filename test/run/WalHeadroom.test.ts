import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import { isScarce, makeGate, type WalHeadroom } from "../../src/run/WalHeadroom.ts"

describe("the WAL that a slot may still keep", () => {
  it("is scarce when more than half is used up, and never without a limit", () => {
    assert.isFalse(isScarce(undefined))
    assert.isFalse(isScarce({ kept: 100n, left: 100n }))
    assert.isFalse(isScarce({ kept: 100n, left: 50n }))
    assert.isTrue(isScarce({ kept: 100n, left: 49n }))
    assert.isTrue(isScarce({ kept: 100n, left: -10n }))
  })

  it.effect("holds the timers while it is scarce, tells of it once, and lets them go on", () =>
    Effect.gen(function*() {
      let headroom: WalHeadroom = { kept: 100n, left: 80n }
      let looks = 0
      const told: Array<string> = []
      const gate = yield* makeGate(Effect.sync(() => (looks++, headroom)), {
        paused: Effect.sync(() => void told.push("paused")),
        resumed: Effect.sync(() => void told.push("resumed"))
      })
      yield* Effect.repeat(gate, { times: 100 })
      assert.strictEqual(looks, 1, "not asked at each pass")
      headroom = { kept: 100n, left: 10n }
      yield* TestClock.adjust("6 seconds")
      const waiting = yield* Effect.forkChild(gate)
      yield* TestClock.adjust("60 seconds")
      assert.deepStrictEqual(told, ["paused"])
      assert.isUndefined(waiting.pollUnsafe())
      headroom = { kept: 100n, left: 90n }
      yield* TestClock.adjust("6 seconds")
      yield* Fiber.join(waiting)
      assert.deepStrictEqual(told, ["paused", "resumed"])
    }))
})
