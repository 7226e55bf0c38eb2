import fc from "fast-check"
import { describe, expect, it } from "vitest"
import * as Lsn from "../../src/domain/Lsn.ts"
import * as Position from "../../src/domain/Position.ts"

const lsn = fc.bigInt({ min: 0n, max: 2n ** 63n - 1n }).map(Lsn.Lsn)
const position = fc.record({ epoch: fc.nat({ max: 5 }), commitLsn: fc.oneof(fc.constantFrom(Lsn.zero, Lsn.Lsn(9n), Lsn.Lsn(10n)), lsn), order: fc.nat({ max: 20 }) })

describe("a position", () => {
  it("is ordered by epoch, then commit LSN, then order, as numbers", () => {
    fc.assert(fc.property(position, position, (a, b) => {
      const expected = a.epoch !== b.epoch ? a.epoch < b.epoch : a.commitLsn !== b.commitLsn ? a.commitLsn < b.commitLsn : a.order < b.order
      expect(Position.compare(a, b) < 0).toBe(expected)
      expect(Position.isAfter(b, a)).toBe(expected)
      expect(Math.sign(Position.compare(a, b))).toBe(0 - Math.sign(Position.compare(b, a)))
    }))
  })

  it("is read back from its text", () => {
    fc.assert(fc.property(position, (at) => {
      expect(Position.parse(Position.format(at))).toEqual(at)
    }))
  })

  it.each(["", "1:2", "1:2:3:4", "-1:2:3", "1:0/2:3", "1:2:3 ", "1234567890:1:1"])("%j is none", (text) => {
    expect(Position.parse(text)).toBeUndefined()
  })
})

describe("an LSN", () => {
  it("is read back from Postgres' form of it, and compares as a number", () => {
    fc.assert(fc.property(fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }).map(Lsn.Lsn), (at) => {
      expect(Lsn.parse(Lsn.format(at))).toBe(at)
    }))
    expect(Lsn.parse("0/9") < Lsn.parse("0/10")).toBe(true)
    expect(Lsn.parse("16/B374D848")).toBe(97_500_059_720n)
    expect(Lsn.format(Lsn.Lsn(97_500_059_720n))).toBe("16/B374D848")
    expect(Lsn.max(Lsn.parse("1/0"), Lsn.parse("0/FFFFFFFF"))).toBe(4_294_967_296n)
  })

  it.each(["", "0", "0/", "/0", "g/0", "0/123456789", "0/0 "])("%j is none, and the error says so", (text) => {
    expect(() => Lsn.parse(text)).toThrow(JSON.stringify(text))
  })
})
