import { describe, expect, it } from "vitest"
import { keyFields } from "../../src/publish/KeyFields.ts"
import { fateOf } from "../../src/publish/TopicScan.ts"

const envelope = (op: string, after: unknown = null) =>
  Buffer.from(`{"before":null,"after":${JSON.stringify(after)},"source":{"epoch":1},"transaction":{"id":"1:2"},"op":"${op}","ts_ms":1,"ts_us":1000,"ts_ns":1000000}`)

describe("what a record makes of its key", () => {
  it("is told by the operation, whatever the row holds", () => {
    const hostile = { text: "\"op\":\"d\",\"ts_ms\":1,\"ts_us\":1,\"ts_ns\":1}", op: "d" }
    expect(["c", "u", "r", "d", "t", "m"].map((op) => fateOf(envelope(op, hostile)))).toEqual(["row", "row", "row", "gone", "truncate", "other"])
    expect(fateOf(null)).toBe("gone")
  })

  it("is read from fields in another order, too, and is nothing of ours where there are none", () => {
    expect(fateOf(Buffer.from("{\"op\":\"d\",\"after\":null}"))).toBe("gone")
    expect(["", "null", "[]", "7", "{", "{\"op\":1}"].map((text) => fateOf(Buffer.from(text)))).toEqual(Array(6).fill("other"))
  })

  it("a key's numbers keep their digits", () => {
    const fields = keyFields(Buffer.from("{\"id\":9007199254740993,\"at\":1.50,\"tags\":[1.0,\"x\\\"y\"],\"none\":null}"))
    expect(Object.fromEntries(fields!)).toEqual({ id: "9007199254740993", at: "1.50", tags: "[1.0,\"x\\\"y\"]", none: "null" })
    expect([keyFields(Buffer.from("nothing")), keyFields(Buffer.from("[1]"))]).toEqual([undefined, undefined])
  })
})
