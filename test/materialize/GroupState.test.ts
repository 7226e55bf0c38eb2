import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { emptyState, GroupAccumulator } from "../../src/materialize/GroupState.ts"
import type { Contribution } from "../../src/materialize/Pipeline.ts"

const name = fc.constantFrom("a", "b", "type:email_open", "c:90:impact")
const contribution: fc.Arbitrary<Contribution> = fc.record({
  group: fc.constant("g"),
  key: fc.constant("k"),
  sums: fc.dictionary(name, fc.bigInt()),
  bags: fc.dictionary(name, fc.constantFrom("x", "y", "", "ü", "__proto__"))
})
const accumulator = (state = emptyState) => new GroupAccumulator("g", "k", state, 0n, null, false)
const deltas = (group: GroupAccumulator) => [...group.bagDeltas].flatMap(([bag, members]) => [...members].map(([member, delta]) => [bag, member, delta]))

describe("a group's state", () => {
  it("is as before when everything that was added is taken back, in any order", () => {
    const shuffled = fc.array(contribution).chain((added) =>
      fc.tuple(fc.constant(added), fc.shuffledSubarray(added, { minLength: added.length, maxLength: added.length })))
    fc.assert(fc.property(fc.array(contribution), shuffled, (before, [added, takenBack]) => {
      const group = accumulator()
      for (const one of before) group.add(one)
      const state = JSON.parse(group.toJson())
      const bags = deltas(group).sort()
      for (const one of added) group.add(one)
      for (const one of takenBack) group.takeBack(one)
      expect(JSON.parse(group.toJson())).toEqual(state)
      expect(deltas(group).sort()).toEqual(bags)
    }))
  })

  it("keeps sums of any size through JSON, and none that is 0", () => {
    fc.assert(fc.property(fc.array(contribution), (added) => {
      const group = accumulator()
      for (const one of added) group.add(one)
      const stored = accumulator(group.toJson())
      expect([...stored.sums].map((sum) => [sum, stored.sum(sum)])).toEqual([...group.sums].map((sum) => [sum, group.sum(sum)]))
      expect([...stored.sums].filter((sum) => stored.sum(sum) === 0n)).toEqual([])
      expect(stored.isChanged).toBe(false)
    }))
  })

  it("knows of its bags what it is told", () => {
    const group = accumulator()
    expect(group.bag("a")).toEqual({ distinct: 0, max: null })
    group.settleBag("a", 2, "y")
    expect(accumulator(group.toJson()).bag("a")).toEqual({ distinct: 2, max: "y" })
    expect(group.isEmpty).toBe(false)
    group.settleBag("a", 0, null)
    expect(group.isEmpty).toBe(true)
  })
})
