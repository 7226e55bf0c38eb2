import { assert, describe, it } from "vitest"
import { persisting, type ShadowVerdict } from "../../src/run/ShadowVerify.ts"

const verdict = (...cells: ReadonlyArray<readonly [key: string, column: string, stored: string]>): ShadowVerdict => ({
  pipeline: "p", generation: 2, compared: 9, differing: new Set(cells.map(([key]) => key)).size, unsettled: 0,
  differences: cells.map(([key, column, stored]) => ({ pipeline: "p", table: "t", key, column, stored, wouldBe: "1" }))
})

describe("what shadow mode would write", () => {
  it("is what differs each time in the same way; a row that is being written is unsettled", () => {
    const before = verdict(["wrong", "a", "0"], ["wrong", "b", "0"], ["late", "a", "3"], ["moving", "a", "5"])
    const now = verdict(["wrong", "a", "0"], ["wrong", "b", "7"], ["moving", "a", "6"], ["new", "a", "0"])
    const found = persisting(before, now)
    assert.deepInclude(found, { compared: 9, differing: 1, unsettled: 3 })
    assert.deepStrictEqual(found.differences.map(({ column, key }) => [key, column]), [["wrong", "a"]])
    assert.deepInclude(persisting(found, verdict()), { differing: 0, unsettled: 3, differences: [] })
  })
})
