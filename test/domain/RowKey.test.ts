import fc from "fast-check"
import { expect, it } from "vitest"
import * as RowKey from "../../src/domain/RowKey.ts"

it("gives the columns of any key back, and no two keys the same text", () => {
  const columns = fc.array(fc.string({ unit: "binary" }), { minLength: 1, maxLength: 3 })
  fc.assert(fc.property(columns, columns, (a, b) => {
    expect(RowKey.partsOf(RowKey.of(a), a.length)).toEqual(a)
    if (a.length === b.length) expect(RowKey.of(a) === RowKey.of(b)).toBe(JSON.stringify(a) === JSON.stringify(b))
  }))
})

it("is one column's value as it is", () => {
  expect(RowKey.of(["a \"b\""])).toBe("a \"b\"")
  expect(RowKey.of([7])).toBe("7")
  expect(RowKey.of([7, "x"])).toBe("[7,\"x\"]")
})

it("tells a key of other columns", () => {
  for (const key of ["a", "{}", "[\"a\"]", "[\"a\",\"b\",\"c\"]"]) expect(RowKey.partsOf(key, 2)).toBeUndefined()
})
