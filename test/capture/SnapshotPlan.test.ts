import { assert, describe, it } from "@effect/vitest"
import fc from "fast-check"
import { planOf, type Storage } from "../../src/capture/SnapshotPlan.ts"
import type { Relation } from "../../src/domain/RowChange.ts"

const column = { name: "id", typeOid: 23, type: { name: "int4", kind: "base", modifier: -1 } } as const
const relation: Relation = { oid: 1, schema: "s", table: "T 1", replicaIdentity: "d", sendsOldKey: true, columns: [column], key: [0] }

const storage = (changes: Partial<Storage> = {}): Storage =>
  ({ table: { schema: "s", table: "T 1" }, isHeap: true, blocks: 10, bytes: 81_920, rowsPerBlock: 50, ...changes })

describe("the plan of a snapshot", () => {
  it("reads a table's own rows in ranges of blocks, the last one open-ended", () => {
    const { bytes, estimatedRows, pieces } = planOf(relation, [storage()], 32_768)
    assert.deepStrictEqual({ bytes, estimatedRows }, { bytes: 81_920, estimatedRows: 500 })
    assert.deepStrictEqual(pieces.map(({ bytes, statement }) => [statement, bytes]), [
      [`copy (select "id" from only "s"."T 1" where ctid >= '(0,0)'::tid and ctid < '(4,0)'::tid) to stdout`, 32_768],
      [`copy (select "id" from only "s"."T 1" where ctid >= '(4,0)'::tid and ctid < '(8,0)'::tid) to stdout`, 32_768],
      [`copy (select "id" from only "s"."T 1" where ctid >= '(8,0)'::tid) to stdout`, 16_384]
    ])
  })

  it("reads as a whole what is small, empty, or no heap, and what it may only read through its root", () => {
    const statements = (storages: ReadonlyArray<Storage>) => planOf(relation, storages, 32_768).pieces.map(({ statement }) => statement)
    const whole = [`copy (select "id" from only "s"."T 1") to stdout`]
    for (const small of [{ bytes: 32_768 }, { blocks: 0, bytes: 0 }, { blocks: 1 }, { isHeap: false }]) assert.deepStrictEqual(statements([storage(small)]), whole)
    assert.deepStrictEqual(statements([]), [`copy (select "id" from "s"."T 1") to stdout`])
  })

  it("knows how many rows there are only if each part was analysed", () => {
    const unknown = storage({ rowsPerBlock: undefined })
    assert.strictEqual(planOf(relation, [storage(), storage({ blocks: 2 })], 1e9).estimatedRows, 600)
    assert.isUndefined(planOf(relation, [storage(), unknown], 1e9).estimatedRows)
    assert.strictEqual(planOf(relation, [storage(), { ...unknown, blocks: 0 }], 1e9).estimatedRows, 500)
  })

  it("leaves out no block and reads none twice, whatever the sizes", () => {
    fc.assert(fc.property(fc.nat(5_000), fc.nat(50), fc.integer({ min: 1, max: 1e6 }), (blocks, outOfLine, pieceBytes) => {
      const bytes = blocks * 8_192 * (1 + outOfLine / 10)
      const { pieces } = planOf(relation, [storage({ blocks, bytes })], pieceBytes)
      const ranges = pieces.map(({ statement }) => [.../\((\d+),0\)/g[Symbol.matchAll](statement)].map((match) => Number(match[1])))
      if (pieces.length > 1) {
        assert.strictEqual(ranges[0]![0], 0)
        for (let index = 1; index < ranges.length; index++) assert.strictEqual(ranges[index]![0], ranges[index - 1]![1])
        assert.lengthOf(ranges.at(-1)!, 1)
      }
      assert.approximately(pieces.reduce((sum, piece) => sum + piece.bytes, 0), bytes, bytes / 1e6)
    }))
  })
})
