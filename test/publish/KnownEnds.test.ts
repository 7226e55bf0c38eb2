import { describe, expect, it } from "vitest"
import { KnownEnds } from "../../src/publish/KnownEnds.ts"

const seen = (id: string, ...ends: ReadonlyArray<bigint>) => new Map([["t", { id, ends }]])
const batch = (partition: number, offset: bigint) => ({ topic: "t", partition, offset })

describe("how far topics are known to have reached", () => {
  it("a batch before the last one says that what was acknowledged is lost", () => {
    const ends = new KnownEnds(seen("A", 10n, 0n))
    ends.acknowledged([batch(0, 10n), batch(1, 0n)])
    ends.acknowledged([batch(0, 25n), batch(1, -1n)])
    expect([...ends.losses]).toEqual([])
    ends.acknowledged([batch(0, 25n)])
    expect(ends.losses.get("t")).toMatch(/partition 0 had reached offset 26, and goes on at 25/)
  })

  it("a batch that is seen before its answer comes is not lost", () => {
    const ends = new KnownEnds(seen("A", 5n))
    ends.acknowledged([batch(0, 5n)])
    ends.observed(ends.now, seen("A", 9n)) // of them 6, 7 and 8 are one batch, not answered yet
    ends.acknowledged([batch(0, 6n)])
    expect([...ends.losses]).toEqual([])
    expect(ends.now.get("t")!.ends).toEqual([9n])
  })

  it("what is acknowledged while it looks does not count against what it sees", () => {
    const ends = new KnownEnds(seen("A", 10n))
    const before = ends.now
    ends.acknowledged([batch(0, 500n)])
    ends.observed(before, seen("A", 12n))
    expect([...ends.losses]).toEqual([])
    expect(ends.now.get("t")!.ends).toEqual([501n])
  })

  it("a shorter topic, another one of its name, or none, has lost records", () => {
    const lossOf = (now: ReturnType<typeof seen>) => {
      const ends = new KnownEnds(seen("A", 10n, 5n))
      ends.observed(ends.now, now)
      return ends.losses.get("t")
    }
    expect(lossOf(seen("A", 10n, 6n))).toBeUndefined()
    expect(lossOf(seen("A", 10n, 4n))).toMatch(/partition 1 had reached offset 5, and goes on at 4/)
    expect(lossOf(seen("B", 10n, 5n))).toMatch(/deleted and made again/)
    expect(lossOf(new Map())).toMatch(/is gone/)
  })
})
