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

it("a table shows what would move a terminal's cursor, or its colours, as text", () => {
  const hostile = "a\u001b[31mred\nline\ttab\u009b\u202etxt"
  expect(textTable(["type", "signal"], [[hostile, "1"]])).toBe([
    "type                                              signal",
    "a\\u001b[31mred\\u000aline\\u0009tab\\u009b\\u202etxt  1"
  ].join("\n"))
  expect(textTable(["type"], [["日本 ünï 😀"]])).toBe("type\n日本 ünï 😀")
})
