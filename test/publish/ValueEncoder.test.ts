import fc from "fast-check"
import { readFileSync } from "node:fs"
import { describe, expect, it } from "vitest"
import type { ColumnType } from "../../src/domain/RowChange.ts"
import { defaultTypes } from "./DefaultTypes.ts"

interface Case {
  readonly type: string
  readonly literal: string
  readonly column: ColumnType
  readonly text: string
  readonly expected: string
  readonly debezium?: string
}

const cases = JSON.parse(readFileSync(new URL("../fixtures/values/values.json", import.meta.url), "utf8")) as ReadonlyArray<Case>
const base = (name: string, modifier = -1): ColumnType => ({ name, kind: "base", modifier })
const arrayOf = (element: ColumnType): ColumnType => ({ name: `_${element.name}`, kind: "array", modifier: element.modifier, element })

/** JSON strings in one spelling (`\u2028` or the character itself); numbers stay as they are written. */
const spelledAlike = (json: string) => json.replace(/"(?:[^"\\]|\\.)*"/gs, (string) => JSON.stringify(JSON.parse(string)))

describe("every literal seen through Debezium, with the text of a real server", () => {
  it.each(cases)("$type $literal", ({ column, expected, text }) => {
    expect(spelledAlike(defaultTypes.encoderOf(column)(text))).toBe(spelledAlike(expected))
  })
})

describe("any text of any type", () => {
  const extensions = ["vector", "geometry"].map((name) => base(name))
  const types = [...new Map(cases.map(({ column }) => [JSON.stringify(column), column])).values(), ...extensions]
    .filter(({ name }) => !["bool", "int2", "int4", "int8", "oid", "numeric"].includes(name))
    .filter(({ element }) => element === undefined || !["bool", "int2", "int4", "int8", "oid"].includes(element.name))

  it("becomes JSON, whether or not it is of the type", () => {
    const wellFormed = fc.string({ unit: "grapheme" })
    const likely = fc.string({ unit: fc.constantFrom(..."0123456789-:.+ BC{}[](),\"\\=>NULLinfty") })
    fc.assert(fc.property(fc.constantFrom(...types), fc.oneof(wellFormed, likely), (type, text) => {
      JSON.parse(defaultTypes.encoderOf(type)(text))
    }), { numRuns: 3000 })
  })

  it("is text as it was", () => {
    fc.assert(fc.property(fc.string({ unit: "grapheme" }), (text) => {
      expect(JSON.parse(defaultTypes.encoderOf(base("text"))(text))).toBe(text)
    }))
  })

  it("is an array's element as it was", () => {
    const printed = (text: string) => `"${text.replace(/["\\]/g, "\\$&")}"`
    const elements = fc.array(fc.option(fc.string({ unit: "grapheme" })))
    fc.assert(fc.property(elements, (values) => {
      const literal = `{${values.map((value) => (value === null ? "NULL" : printed(value))).join(",")}}`
      expect(JSON.parse(defaultTypes.encoderOf(arrayOf(base("text")))(literal))).toEqual(values)
    }))
  })
})

describe("types of extensions", () => {
  it.each([
    ["vector", "[1,-2.5,1e-07]", "[1.0,-2.5,1.0E-7]"],
    // ST_SetSRID(ST_MakePoint(1, 2), 4326), and the same point without an SRID.
    ["geometry", "0101000020E6100000000000000000F03F0000000000000040", `{"wkb":"AQEAACDmEAAAAAAAAAAA8D8AAAAAAAAAQA==","srid":4326}`],
    ["geography", "0101000000000000000000F03F0000000000000040", `{"wkb":"AQEAAAAAAAAAAADwPwAAAAAAAABA","srid":null}`]
  ])("%s %s", (name, text, expected) => {
    expect(defaultTypes.encoderOf(base(name))(text)).toBe(expected)
  })
})

describe("floats", () => {
  it("are the same number, written as Java writes it", () => {
    fc.assert(fc.property(fc.double({ noNaN: true, noDefaultInfinity: true }), (value) => {
      const json = defaultTypes.encoderOf(base("float8"))(Object.is(value, -0) ? "-0" : String(value))
      expect(Number(json)).toBe(value)
      expect(json).toMatch(/^-?\d+\.\d+(E-?\d+)?$/)
    }))
  })
})

describe("dates", () => {
  it("count as the platform's calendar does", () => {
    fc.assert(fc.property(fc.integer({ min: -719_162, max: 2_932_896 }), (day) => {
      const text = new Date(day * 86_400_000).toISOString().slice(0, 10)
      expect(defaultTypes.encoderOf(base("date"))(text)).toBe(String(day))
    }))
  })

  it("with a clock keep every microsecond", () => {
    fc.assert(fc.property(fc.bigInt({ min: -62_135_596_800_000_000n, max: 253_402_300_799_999_999n }), (micros) => {
      const millis = Number((micros - ((micros % 1000n) + 1000n) % 1000n) / 1000n)
      const rest = String(((micros % 1000n) + 1000n) % 1000n).padStart(3, "0")
      const text = new Date(millis).toISOString().replace("T", " ").replace("Z", rest)
      expect(defaultTypes.encoderOf(base("timestamp"))(text)).toBe(String(micros))
    }))
  })
})
