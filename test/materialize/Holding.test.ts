import { assert, describe, it } from "@effect/vitest"
import fc from "fast-check"
import { makeAllowance, makePace } from "../../src/materialize/Holding.ts"

/** Writes as many rows as are allowed, on a machine that takes so long for each, until that settles; says how long the last took (ms). */
const lastOf = (transactions: number, millisPerRow: number, pace = makePace()): number => {
  let took = 0
  for (let n = 0; n < transactions; n++) {
    took = pace.rows * millisPerRow
    pace.wrote(pace.rows, took)
  }
  return took
}

describe("what one transaction may hold of the hub", () => {
  it("is cut by time: whatever a row takes, soon no transaction takes more than some 50 ms, down to 50 rows", () => {
    fc.assert(fc.property(fc.double({ min: 0.001, max: 0.8, noNaN: true }), (millisPerRow) => {
      assert.isAtMost(lastOf(30, millisPerRow), 51)
    }))
    const pace = makePace()
    lastOf(30, 1_000, pace)
    assert.strictEqual(pace.rows, 50)
  })

  it("grows again once the machine is faster, and one slow transaction costs a half at the most", () => {
    const pace = makePace()
    pace.wrote(1_500, 10_000)
    assert.strictEqual(pace.rows, 750)
    lastOf(30, 1_000, pace)
    lastOf(30, 0.001, pace)
    assert.strictEqual(pace.rows, 10_000)
  })

  it("does not grow by transactions that had less to write than they might", () => {
    const pace = makePace()
    for (let n = 0; n < 30; n++) pace.wrote(pace.rows - 1, 1)
    assert.strictEqual(pace.rows, 1_500)
  })

  it("is shared by all tables that the transaction writes", () => {
    const allow = makeAllowance(3)
    assert.deepStrictEqual(allow(["a", "b"]), [["a", "b"], []])
    assert.deepStrictEqual(allow(["c", "d"]), [["c"], ["d"]])
    assert.deepStrictEqual(allow(["e"]), [[], ["e"]])
  })
})
