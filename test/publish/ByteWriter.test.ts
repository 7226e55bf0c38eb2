import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { ByteWriter } from "../../src/publish/ByteWriter.ts"

describe("ByteWriter", () => {
  it("gives pieces that stay as they were written, at whatever sizes", () => {
    const part = fc.oneof(fc.string({ unit: "grapheme", maxLength: 200 }), fc.integer({ min: 0, max: 90_000 }).map((length) => "aé".repeat(length)))
    const pieces = fc.array(fc.array(fc.tuple(part, fc.boolean()), { maxLength: 4 }), { maxLength: 12 })
    fc.assert(fc.property(pieces, (pieces) => {
      const writer = new ByteWriter()
      const taken = pieces.map((parts) => {
        writer.begin()
        for (const [text, asBytes] of parts) {
          if (asBytes) writer.bytes(Buffer.from(text))
          else writer.text(text)
        }
        return writer.take()
      })
      taken.forEach((piece, index) => expect(piece.equals(Buffer.from(pieces[index]!.map(([text]) => text).join("")))).toBe(true))
    }), { numRuns: 100 })
  })

  it("forgets a piece that was given up", () => {
    const writer = new ByteWriter()
    writer.begin()
    writer.text("half a key")
    writer.begin()
    writer.text("key")
    expect(writer.take().toString()).toBe("key")
  })
})
