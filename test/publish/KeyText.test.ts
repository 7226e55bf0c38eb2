import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { asConnectWrites } from "../../src/publish/KeyText.ts"

describe("a key's bytes are Kafka Connect's", () => {
  it.for([
    [`{"k":"ünï \u2028 🎉𝄞"}`, String.raw`{"k":"ünï ${"\u2028"} \uD83C\uDF89\uD834\uDD1E"}`], // seen in Debezium's topic
    [JSON.stringify({ k: "\u001f\u0001\t\n" }), String.raw`{"k":"\u001F\u0001\t\n"}`],
    [JSON.stringify({ k: String.raw`\u00ff \n` }), String.raw`{"k":"\\u00ff \\n"}`],
    [`{"k":"plain","n":1.0E10}`, `{"k":"plain","n":1.0E10}`]
  ] as const)("%s", ([json, written]) => {
    expect(asConnectWrites(json)).toBe(written)
  })

  it("and say the same as before, whatever the text", () => {
    fc.assert(fc.property(fc.string({ unit: "grapheme" }), (text) => {
      expect(JSON.parse(asConnectWrites(JSON.stringify({ [text]: text })))).toEqual({ [text]: text })
    }))
  })
})
