import { Redacted } from "effect"
import { createHash } from "node:crypto"
import { describe, expect, it } from "vitest"
import * as ColumnName from "../../src/domain/ColumnName.ts"
import { splitList } from "../../src/domain/SqlIdentifier.ts"
import { unavailableValue } from "../../src/domain/UnavailableValue.ts"
import type { Relation } from "../../src/domain/RowChange.ts"
import * as ColumnPolicy from "../../src/publish/ColumnPolicy.ts"
import { ByteWriter } from "../../src/publish/ByteWriter.ts"
import { EncodeError } from "../../src/publish/EncodeError.ts"
import { RowEncoder } from "../../src/publish/RowEncoder.ts"
import { defaultTypes } from "./DefaultTypes.ts"

const column = (name: string, type: string) => ({ name, typeOid: 0, type: { name: type, kind: "base" as const, modifier: -1 } })
const people: Relation = {
  oid: 1, schema: "cl", table: "People", replicaIdentity: "f", sendsOldKey: true, key: [0],
  columns: [column("email", "text"), column("born", "date"), column("note", "text"), column("a,b", "numeric")]
}

const policy = (columns: { exclude?: string; hash?: string; truncate?: string }) =>
  ColumnPolicy.make({
    exclude: splitList(columns.exclude ?? "").map(ColumnName.parse),
    hash: splitList(columns.hash ?? "").map(ColumnName.parse),
    truncate: splitList(columns.truncate ?? "").map(ColumnName.parseWithLength),
    hashSalt: Redacted.make("pepper")
  })

const sha256 = (text: string) => createHash("sha256").update("pepper", "utf8").update(text, "utf8").digest("hex")

/** What is written, as text. */
const written = (write: (into: ByteWriter) => void): string => {
  const writer = new ByteWriter()
  writer.begin()
  write(writer)
  return writer.take().toString()
}

const row = (columns: Parameters<typeof policy>[0], tuple: ReadonlyArray<string | null | undefined>) =>
  JSON.parse(written((into) => new RowEncoder(people, defaultTypes, policy(columns)).row(tuple, undefined, into))) as Record<string, unknown>

describe("a column that must not leave as it is", () => {
  it("is left out, hashed or cut; the others are not touched", () => {
    const treated = { exclude: `cl."People"."a,b"`, hash: `cl."People".born`, truncate: `cl."People".note:3` }
    expect(row(treated, ["ann@hub.example", "2001-02-03", "abcdef", "1.5"])).toEqual({
      email: "ann@hub.example", born: sha256("2001-02-03"), note: "abc"
    })
  })

  it("is left out wherever it stands in the table", () => {
    expect(row({ exclude: `cl."People".born` }, ["a", "2001-02-03", "n", "1.5"])).toEqual({ email: "a", note: "n", "a,b": "1.5" })
    const keyless = new RowEncoder({ ...people, key: [] }, defaultTypes, policy({ exclude: people.columns.map(({ name }) => ColumnName.format({ ...people, column: name })).join(",") }))
    expect(written((into) => keyless.row(["a", "b", "c", "1"], undefined, into))).toBe("{}")
  })

  it("of the key has one hash in key and value, and the same in another table", () => {
    const hash = `cl."People".email, bit.contact.mail`
    const encoder = new RowEncoder(people, defaultTypes, policy({ hash }))
    expect(JSON.parse(encoder.key(["ann@hub.example"], undefined)!)).toEqual({ email: sha256("ann@hub.example") })
    expect(row({ hash }, ["ann@hub.example", null, null, null]).email).toBe(sha256("ann@hub.example"))
    const contact = new RowEncoder({ ...people, schema: "bit", table: "contact", columns: [column("mail", "varchar")] }, defaultTypes, policy({ hash }))
    expect(written((into) => contact.row(["ann@hub.example"], undefined, into))).toBe(`{"mail":"${sha256("ann@hub.example")}"}`)
  })

  it("is treated in old rows as in new ones", () => {
    const encoder = new RowEncoder(people, defaultTypes, policy({ exclude: `cl."People".note`, hash: `cl."People".email` }))
    expect(JSON.parse(written((into) => encoder.partialRow(["a", undefined, undefined, undefined], into)))).toEqual({ email: sha256("a"), born: null, "a,b": null })
    expect(JSON.parse(written((into) => encoder.row(["a", undefined, "n", null], ["z", "2001-02-03", "secret", "1"], into))))
      .toEqual({ email: sha256("a"), born: 11_356, "a,b": null })
  })

  it("stays NULL, and an unavailable value stays the placeholder, as text since its values are text", () => {
    const treated = { hash: `cl."People".born, cl."People"."a,b"`, truncate: `cl."People".note:3` }
    expect(row(treated, ["a", null, null, null])).toEqual({ email: "a", born: null, note: null, "a,b": null })
    expect(row(treated, ["a", undefined, undefined, undefined])).toEqual({
      email: "a", born: unavailableValue, note: unavailableValue, "a,b": unavailableValue
    })
  })

  it("is cut between characters, never within a surrogate pair", () => {
    const cut = (characters: number, text: string) => row({ truncate: `cl."People".note:${characters}` }, ["a", null, text, null]).note
    expect(cut(2, "a😀b")).toBe("a😀")
    expect(cut(1, "😀😀")).toBe("😀")
    expect(cut(2, "😀😀")).toBe("😀😀")
    expect(cut(3, "ab")).toBe("ab")
    expect(cut(5, "\"\\\n\u0001é and more")).toBe("\"\\\n\u0001é")
  })

  it.each(["exclude", "truncate"] as const)("of the key can't be named in columns.%s, because rows would share a key", (kind) => {
    const name = `cl."People".email${kind === "truncate" ? ":2" : ""}`
    expect(() => new RowEncoder(people, defaultTypes, policy({ [kind]: name }))).toThrow(EncodeError)
    expect(() => new RowEncoder(people, defaultTypes, policy({ [kind]: name }))).toThrow(/cl\."People"\.email is part of its table's key.*columns\.hash/)
  })
})
