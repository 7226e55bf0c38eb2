import { assert, describe, it } from "@effect/vitest"
import fc from "fast-check"
import { CopyText } from "../../src/capture/CopyText.ts"
import { textsOf } from "./Texts.ts"

const escapes: Record<string, string> = { "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\v": "\\v", "\\": "\\\\" }

/** As `CopyAttributeOutText` of Postgres writes it. */
const write = (rows: ReadonlyArray<ReadonlyArray<string | null>>): Buffer =>
  Buffer.from(rows.map((row) =>
    row.map((value) => value === null ? "\\N" : value.replace(/[\b\f\n\r\t\v\\]/g, (character) => escapes[character]!)).join("\t") + "\n"
  ).join(""))

describe("the text of COPY", () => {
  it("reads NULL, the empty text and a text that looks like NULL apart", () => {
    assert.deepStrictEqual(new CopyText(4).push(write([[null, "", "\\N", "N"]])).map(textsOf), [[null, "", "\\N", "N"]])
  })

  it("reads rows of one column, and of none", () => {
    assert.deepStrictEqual(new CopyText(1).push(write([[""], ["a"], [null]])).map(textsOf), [[""], ["a"], [null]])
    assert.deepStrictEqual(new CopyText(0).push(Buffer.from("\n\n")).map(textsOf), [[], []])
  })

  it("reads back every row, wherever the bytes are cut", () => {
    const value = fc.oneof(fc.constant(null), fc.string({ unit: "grapheme" }), fc.constantFrom("\\", "\t", "\n", "a\\b", "\\."))
    const rows = fc.array(fc.tuple(value, value, value), { minLength: 1, maxLength: 8 })
    fc.assert(fc.property(rows, fc.array(fc.nat(200), { maxLength: 4 }), (rows, cuts) => {
      const bytes = write(rows)
      const text = new CopyText(3)
      const ends = [...cuts.filter((cut) => cut < bytes.length).toSorted((a, b) => a - b), bytes.length]
      let start = 0
      const read = ends.flatMap((end) => {
        const chunk = Buffer.from(bytes.subarray(start, end))
        start = end
        const complete = text.push(chunk).map(textsOf)
        chunk.fill(0) // the driver reuses its memory
        return complete
      })
      assert.deepStrictEqual(read, rows)
    }))
  })
})
