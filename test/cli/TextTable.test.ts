import { expect, it } from "vitest"
import { right, textTable } from "../../src/cli/TextTable.ts"

it("a table has columns as wide as their widest cell, numbers flush right, nothing behind the last cell, and cut cells", () => {
  expect(textTable(["name", right("rows"), "why"], [["a", "7", ""], ["longer", "12345", "much too long"]], 8).split("\n")).toEqual([
    "name     rows  why",
    "a           7",
    "longer  12345  much to…"
  ])
  expect(textTable(["name", right("rows")], [])).toBe("name  rows")
})
