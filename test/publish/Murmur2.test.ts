import fc from "fast-check"
import { createRequire } from "node:module"
import { describe, expect, it } from "vitest"
import { murmur2, toPositive } from "../../src/publish/Murmur2.ts"
import { partitionOf } from "../../src/publish/Router.ts"

const kafkajsMurmur2 = createRequire(import.meta.url)("kafkajs/src/producer/partitioners/default/murmur2.js") as (key: Buffer) => number

describe("murmur2", () => {
  // Source: Kafka's `UtilsTest.testMurmur2`.
  it.each([
    ["21", -973932308],
    ["foobar", -790332482],
    ["a-little-bit-long-string", -985981536],
    ["a-little-bit-longer-string", -1486304829],
    ["lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971],
    ["abc", 479470107]
  ])("hashes %j as the Java client does", (text, hash) => {
    expect(murmur2(Buffer.from(text))).toBe(hash)
  })

  it("agrees with kafkajs on any bytes", () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
      expect(murmur2(bytes)).toBe(kafkajsMurmur2(Buffer.from(bytes)))
    }))
  })
})

describe("partitionOf", () => {
  it("drops the hash's sign bit before dividing", () => {
    expect(partitionOf(Buffer.from("21"), 6)).toBe((-973932308 & 0x7fffffff) % 6)
    expect(toPositive(-1)).toBe(0x7fffffff)
  })

  it("keeps records without a key in the first partition, in order", () => {
    expect(partitionOf(null, 6)).toBe(0)
  })
})
