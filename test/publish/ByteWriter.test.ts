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

  it("writes the memory of pieces again that was given back, and no other", () => {
    const writer = new ByteWriter()
    const write = (count: number, text: string) => Array.from({ length: count }, () => {
      writer.begin()
      writer.text(text)
      return writer.take()
    })
    const memoryOf = (pieces: ReadonlyArray<Buffer>) => new Set(pieces.map(({ buffer }) => buffer))
    const needed = write(3_000, "a".repeat(100))
    writer.cut() // and never given back
    const first = write(3_000, "b".repeat(100))
    const giveBack = writer.cut()
    write(1, "large".repeat(50_000))
    writer.cut()
    giveBack()
    giveBack() // twice is once
    const second = write(6_000, "c".repeat(100))
    expect(memoryOf(first).isSubsetOf(memoryOf(second))).toBe(true)
    expect(memoryOf(needed).isDisjointFrom(memoryOf(second))).toBe(true)
    expect(new Set(second.map(({ buffer, byteOffset }) => `${[...memoryOf(second)].indexOf(buffer)}:${byteOffset}`)).size).toBe(6_000)
    expect(needed.every((piece) => piece.equals(Buffer.from("a".repeat(100))))).toBe(true)
    expect(second.every((piece) => piece.equals(Buffer.from("c".repeat(100))))).toBe(true)
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
