import { expect, it } from "vitest"
import { stalledIn } from "../../src/run/PipelineCheckpoint.ts"

const look = (places: Readonly<Record<string, number>>) => new Map(Object.entries(places).map(([partition, next]) => [partition, BigInt(next)]))

it("a partition is stalled that has records to read and stands still, and no other", () => {
  const still = look({ "t/0": 7, "t/1": 3 })
  expect(stalledIn([])).toBeUndefined()
  expect(stalledIn([still, still])).toBeUndefined()
  expect(stalledIn([still, still, still])).toBe("t/0")
  expect(stalledIn([still, look({ "t/0": 8, "t/1": 3 }), still])).toBe("t/1")
  expect(stalledIn([look({ "t/0": 6 }), look({ "t/0": 7 }), look({ "t/0": 7 })])).toBeUndefined()
  expect(stalledIn([still, look({}), still])).toBeUndefined()
})
