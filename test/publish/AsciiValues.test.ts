import fc from "fast-check"
import { readFileSync } from "node:fs"
import { describe, expect, it } from "vitest"
import { RowBytes } from "../../src/domain/RowBytes.ts"
import type { ColumnType } from "../../src/domain/RowChange.ts"
import { ByteWriter } from "../../src/publish/ByteWriter.ts"
import { defaultTypes } from "./DefaultTypes.ts"

interface Case {
  readonly column: ColumnType
  readonly text: string
}

const cases = JSON.parse(readFileSync(new URL("../fixtures/values/values.json", import.meta.url), "utf8")) as ReadonlyArray<Case>
const copied = [...new Map(cases.map(({ column }) => [JSON.stringify(column), column])).values()]
  .filter((column) => defaultTypes.encoderOf(column).ascii !== undefined)

/** What the bytes of a value become without a string in between, amid others; undefined: it has to become one. */
const fromBytes = (column: ColumnType, text: string): string | undefined => {
  const bytes = Buffer.from(`before${text}behind`)
  const row = new RowBytes(bytes, 1)
  row.setText(0, 6, bytes.length - 6)
  const writer = new ByteWriter()
  writer.text("{")
  writer.begin()
  return writer.ascii(defaultTypes.encoderOf(column).ascii!, row, 0) ? writer.take().toString() : undefined
}

const expectSame = (column: ColumnType, text: string): void => {
  if (defaultTypes.encoderOf(column).ascii === undefined) return
  const written = fromBytes(column, text)
  if (written !== undefined) expect(written).toBe(defaultTypes.encoderOf(column)(text))
}

describe("a value that is copied from its bytes", () => {
  it("is the same as through its text, of every literal seen through Debezium", () => {
    for (const { column, text } of cases) expectSame(column, text)
  })

  it("is the same as through its text, whatever the text", () => {
    const anyText = fc.string({ unit: "grapheme" })
    const likely = fc.string({ unit: fc.constantFrom(..."0123456789-:.+ TZ\"\\\n"), minLength: 1 })
    const instant = fc.tuple(fc.date({ noInvalidDate: true }), fc.string({ unit: fc.constantFrom(..."0123456789.x"), maxLength: 8 }))
      .map(([date, end]) => `${date.toISOString().slice(0, 19).replace("T", " ")}${end}+00`)
    const numbers = new Set(["bool", "int2", "int4", "int8", "oid", "numeric"])
    const columns = fc.constantFrom(...copied.filter(({ name }) => !numbers.has(name)))
    fc.assert(fc.property(columns, fc.oneof(anyText, likely, instant), (column, text) => expectSame(column, text)), { numRuns: 5000 })
  })

  it("is the same as through its text, with a fraction of any length for a column of any precision", () => {
    for (const modifier of [-1, 0, 1, 2, 3, 4, 5, 6]) {
      for (let digits = 0; digits <= 7; digits++) {
        expectSame({ name: "timestamptz", kind: "base", modifier }, `2026-07-01 06:30:00${digits === 0 ? "" : `.${"1234567".slice(0, digits)}`}+00`)
      }
    }
  })

  it.each([["text", "plain \"quoted\" and \\"], ["uuid", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"], ["int8", "-9007199254740993"], ["bool", "t"], ["bool", "f"], ["numeric", "-12.50"],
    ["timestamptz", "2026-07-01 06:30:00+00"], ["timestamptz", "2026-07-01 06:30:00.123456+00"]])("is never a string of %s: %s", (name, text) => {
    expect(fromBytes({ name, kind: "base", modifier: -1 }, text)).toBe(defaultTypes.encoderOf({ name, kind: "base", modifier: -1 })(text))
  })

  it.each([["text", "ä"], ["text", "a\nb"], ["numeric", "NaN"], ["numeric", "-Infinity"], ["timestamptz", "infinity"],
    ["timestamptz", "0044-03-15 12:00:00+00 BC"], ["timestamptz", "12026-07-01 06:30:00+00"]])("goes through its text where it is not as simple as that: %s %s", (name, text) => {
    expect(fromBytes({ name, kind: "base", modifier: -1 }, text)).toBeUndefined()
  })
})
