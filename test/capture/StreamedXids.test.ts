import { assert, describe, it } from "@effect/vitest"
import { parseSnapshot, StreamedXids } from "../../src/capture/StreamedXids.ts"

const streamed = (...xids: ReadonlyArray<number>): StreamedXids => {
  const all = new StreamedXids()
  for (const xid of xids) all.add(xid)
  return all
}

describe("transactions that a snapshot does not see", () => {
  it("are those that run, and those that began after it", () => {
    const snapshot = parseSnapshot("100:105:101,103")
    const seen = (xid: number) => !streamed(xid).anyHidden(1, snapshot)
    assert.deepStrictEqual([99, 100, 101, 102, 103, 104, 105, 106].filter(seen), [99, 100, 102, 104])
  })

  it("are looked for among those before the watermark only", () => {
    const snapshot = parseSnapshot("100:105:")
    assert.isFalse(streamed(99, 200).anyHidden(1, snapshot))
    assert.isTrue(streamed(99, 200).anyHidden(2, snapshot))
  })

  it("are found across the wrap-around of 32 bits", () => {
    const snapshot = parseSnapshot(`${2n ** 32n + 5n - 10n}:${2n ** 32n + 5n}:${2n ** 32n - 2n}`) // xmin 2^32 − 5, xmax 5, running 2^32 − 2
    const seen = (xid: number) => !streamed(xid).anyHidden(1, snapshot)
    assert.deepStrictEqual([2 ** 32 - 6, 2 ** 32 - 2, 2 ** 32 - 1, 3, 4, 5, 6].filter(seen), [2 ** 32 - 6, 2 ** 32 - 1, 3, 4])
  })

  it("are remembered for the last 65,536", () => {
    const all = streamed(500)
    for (let xid = 1; xid < 65_536; xid++) all.add(3)
    assert.isTrue(all.anyHidden(all.count, parseSnapshot("100:105:")))
    all.add(3)
    assert.isFalse(all.anyHidden(all.count, parseSnapshot("100:105:")))
  })
})
