import { assert, describe, it } from "@effect/vitest"
import fc from "fast-check"
import { Lsn } from "../../src/domain/Lsn.ts"
import type { OutgoingRecord } from "../../src/domain/OutgoingRecord.ts"
import * as SendPlan from "../../src/publish/SendPlan.ts"

const record = (partition: number, bytes: number, order: number): OutgoingRecord => ({
  topic: "t", partition, key: null, value: Buffer.alloc(bytes), headers: undefined, position: { epoch: 1, commitLsn: Lsn(1n), order }
})

const sizeOf = (records: ReadonlyArray<OutgoingRecord>): number => records.reduce((sum, { value }) => sum + value!.length, 0)

describe("cutting records into requests", () => {
  it("keeps every record, in order, and each partition's share below the batch's size", () => {
    const records = fc.array(fc.tuple(fc.nat(3), fc.nat(900)), { maxLength: 60 }).map((list) =>
      list.map(([partition, bytes], order) => record(partition, bytes, order)))
    fc.assert(fc.property(records, (records) => {
      const parts = SendPlan.cut(records, 1_000)
      assert.deepStrictEqual(parts.flat(), records)
      for (const part of parts) {
        for (const partition of [0, 1, 2, 3]) assert.isAtMost(sizeOf(part.filter((record) => record.partition === partition)), 1_000)
        assert.isAtMost(sizeOf(part), 4_000)
      }
    }))
  })

  it("sends a record that is larger than a batch alone", () => {
    const records = [record(0, 10, 1), record(0, 5_000, 2), record(0, 10, 3)]
    assert.deepStrictEqual(SendPlan.cut(records, 1_000).map((part) => part.length), [1, 1, 1])
  })
})
