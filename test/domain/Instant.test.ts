import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { ofSortable, parse, toSortable, toSql, toSqlWithZone } from "../../src/domain/Instant.ts"

/** 4713 BC, where Postgres begins, to the end of JavaScript's years. */
const micros = fc.bigInt({ min: -210_866_803_200_000_000n, max: 8_639_999_999_999_999_999n })

/** As the topics write it. */
const iso = (micros: bigint): string => {
  const fraction = ((micros % 1_000_000n) + 1_000_000n) % 1_000_000n
  const text = new Date(Number((micros - fraction) / 1000n)).toISOString().replace(/^([+-])00(\d{4})/, "$1$2")
  return text.replace(/\.\d+Z$/, `.${String(fraction).padStart(6, "0")}Z`).replace(/^\+(\d{4}-)/, "$1")
}

describe("an instant", () => {
  it("is read from what a topic says", () => {
    fc.assert(fc.property(micros, (at) => {
      expect(parse(iso(at))).toBe(at)
    }))
  })

  it.each<[string, bigint, string]>([
    ["1970-01-01T00:00:00.000000Z", 0n, "1970-01-01 00:00:00.000000"],
    ["2016-11-04T11:51:30.123456Z", 1_478_260_290_123_456n, "2016-11-04 11:51:30.123456"],
    ["2016-11-04T11:51:30Z", 1_478_260_290_000_000n, "2016-11-04 11:51:30.000000"],
    ["2016-11-04T11:51:30.1Z", 1_478_260_290_100_000n, "2016-11-04 11:51:30.100000"],
    ["1969-12-31T23:59:59.999999Z", -1n, "1969-12-31 23:59:59.999999"],
    ["0099-01-01T00:00:00.000000Z", -59_042_995_200_000_000n, "0099-01-01 00:00:00.000000"],
    ["0001-01-01T00:00:00.000000Z", -62_135_596_800_000_000n, "0001-01-01 00:00:00.000000"],
    ["0000-12-31T23:59:59.999999Z", -62_135_596_800_000_001n, "0001-12-31 23:59:59.999999 BC"],
    ["-4712-01-01T00:00:00.000000Z", -210_863_520_000_000_000n, "4713-01-01 00:00:00.000000 BC"],
    ["+10000-01-01T00:00:00.000000Z", 253_402_300_800_000_000n, "10000-01-01 00:00:00.000000"]
  ])("%s", (text, at, sql) => {
    expect(parse(text)).toBe(at)
    expect(toSql(at)).toBe(sql)
  })

  it("says its zone before the era", () => {
    expect(toSqlWithZone(0n)).toBe("1970-01-01 00:00:00.000000+00")
    expect(toSqlWithZone(-62_135_596_800_000_001n)).toBe("0001-12-31 23:59:59.999999+00 BC")
  })

  it("knows both infinities, and sorts them at the ends", () => {
    for (const text of ["infinity", "-infinity"]) expect(toSql(parse(text)!)).toBe(text)
    expect(toSqlWithZone(parse("infinity")!)).toBe("infinity")
    expect([parse("infinity")!, 0n, parse("-infinity")!].map(toSortable).sort().map(ofSortable)).toEqual([parse("-infinity")!, 0n, parse("infinity")!])
  })

  it.each(["", "2016-11-04", "2016-11-04 11:51:30+00", "2016-11-04T11:51:30", "2016-11-04T11:51:30.1234567Z", "+294276-12-31T23:59:59.999999Z"])(
    "%j is none that we can count with",
    (text) => {
      expect(parse(text)).toBeUndefined()
    }
  )

  it("sorts as text as it does in time", () => {
    fc.assert(fc.property(micros, micros, (a, b) => {
      expect(toSortable(a) < toSortable(b)).toBe(a < b)
      expect(ofSortable(toSortable(a))).toBe(a)
    }))
  })
})
