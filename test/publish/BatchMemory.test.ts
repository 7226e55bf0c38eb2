import { describe, expect, it } from "vitest"
import { BatchMemory } from "../../src/publish/BatchMemory.ts"

describe("BatchMemory", () => {
  it("gives different bytes until it is used again, at whatever sizes", () => {
    const memory = new BatchMemory()
    for (const round of [1, 2, 3]) {
      memory.reuse()
      const taken = [1, 700, 3_000_000, 2_000_000, 10_000_000, 0, 5].map((bytes, index) => memory.take(bytes).fill(round * 10 + index))
      expect(taken.map(({ length }) => length)).toEqual([1, 700, 3_000_000, 2_000_000, 10_000_000, 0, 5])
      taken.forEach((bytes, index) => expect(bytes.every((byte) => byte === round * 10 + index)).toBe(true))
    }
  })

  it("gives the same bytes again", () => {
    const memory = new BatchMemory()
    const first = memory.take(1_000).fill(7)
    memory.reuse()
    expect(memory.take(1_000)[0]).toBe(7)
    expect(first[999]).toBe(7)
  })

  it("keeps no more than a few megabytes", () => {
    const memory = new BatchMemory()
    for (let total = 0; total < 40_000_000; total += 900_000) memory.take(900_000)
    memory.reuse()
    expect(memory.take(900_000).buffer.byteLength).toBeLessThanOrEqual(4 * 1_048_576)
  })
})
