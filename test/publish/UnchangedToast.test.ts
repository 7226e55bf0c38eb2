import { describe, expect, it } from "vitest"
import type { ColumnType } from "../../src/domain/RowChange.ts"
import { defaultTypes } from "./DefaultTypes.ts"

const base = (name: string): ColumnType => ({ name, kind: "base", modifier: -1 })
const arrayOf = (name: string): ColumnType => ({ name: `_${name}`, kind: "array", modifier: -1, element: base(name) })
const text = "__debezium_unavailable_value"
const byteValues = [...Buffer.from(text)]

describe("the placeholder of an unchanged value stored out of line", () => {
  it.each<[ColumnType, unknown]>([
    [base("text"), text],
    [base("jsonb"), text],
    [base("xml"), text],
    [{ ...base("mood"), kind: "enum" }, text],
    [base("numeric"), text],
    [base("varbit"), null],
    [base("bytea"), Buffer.from(text).toString("base64")],
    [base("hstore"), JSON.stringify({ [text]: text })],
    [base("vector"), byteValues],
    [base("geometry"), { wkb: Buffer.from(text).toString("base64"), srid: null }],
    [arrayOf("text"), [text]],
    [arrayOf("jsonb"), [text]],
    [arrayOf("int4"), byteValues],
    [arrayOf("int8"), byteValues],
    [arrayOf("date"), byteValues],
    [arrayOf("interval"), text]
  ])("of $name", (type, expected) => {
    expect(JSON.parse(defaultTypes.unchangedOf(type))).toEqual(expected)
  })

  it("of uuid[] is the placeholder's name-based UUID, version 3", () => {
    const uuid = /^\["[0-9a-f]{8}-[0-9a-f]{4}-3[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"\]$/
    expect(defaultTypes.unchangedOf(arrayOf("uuid"))).toMatch(uuid)
  })
})
