import { readFileSync } from "node:fs"
import { describe, expect, it } from "vitest"
import { decode } from "../../src/capture/PgOutput.ts"
import type { WalMessage, WalRelation } from "../../src/capture/WalMessage.ts"
import { parse as parseLsn } from "../../src/domain/Lsn.ts"
import { withTexts } from "./Texts.ts"

interface Golden {
  readonly server: string
  readonly types: ReadonlyArray<{ readonly type: string; readonly literal: string }>
  readonly frames: ReadonlyArray<string>
}

const read = (name: string) => JSON.parse(readFileSync(new URL(`../fixtures/${name}`, import.meta.url), "utf8")) as unknown
const values = read("values/values.json") as ReadonlyArray<{ readonly type: string; readonly literal: string; readonly text: string }>

describe.each(["15", "18"])("the messages of Postgres %s", (major) => {
  const golden = read(`pgoutput/${major}.json`) as Golden
  const messages = golden.frames.map((frame) => withTexts(decode(Buffer.from(frame, "base64"))))
  const relations = new Map(messages.flatMap((message) => (message._tag === "Relation" ? [[message.table, message] as const] : [])))

  const rowsOf = (table: string) => {
    const { oid } = relations.get(table)!
    return messages.filter((message) => "relationOid" in message && message.relationOid === oid)
  }

  it("come as transactions, in commit order", () => {
    let open: Extract<WalMessage, { _tag: "Begin" }> | undefined
    let last = 0n
    for (const message of messages) {
      if (message._tag === "Begin") {
        expect(open).toBeUndefined()
        expect(message.transaction.commitLsn).toBeGreaterThan(last)
        open = message
      } else if (message._tag === "Commit") {
        expect(message).toMatchObject({ commitLsn: open!.transaction.commitLsn, commitMicros: open!.transaction.commitMicros })
        expect(message.endLsn).toBeGreaterThan(message.commitLsn)
        last = message.commitLsn
        open = undefined
      } else if (message._tag !== "Message" || message.transactional) expect(open).toBeDefined()
    }
    expect(open).toBeUndefined()
  })

  it("say when a transaction was committed", () => {
    const begin = messages.find((message) => message._tag === "Begin")
    const year = new Date(Number((begin as Extract<WalMessage, { _tag: "Begin" }>).transaction.commitMicros / 1000n)).getUTCFullYear()
    expect(year).toBeGreaterThanOrEqual(2026)
  })

  it("describe tables, with their replica identity", () => {
    const described = (table: string): Pick<WalRelation, "schema" | "replicaIdentity"> & { identity: Array<string> } => {
      const { columns, replicaIdentity, schema } = relations.get(table)!
      return { schema, replicaIdentity, identity: columns.filter((column) => column.partOfIdentity).map(({ name }) => name) }
    }
    expect(described("plain")).toEqual({ schema: "golden", replicaIdentity: "d", identity: ["id", "part"] })
    expect(described("whole")).toEqual({ schema: "golden", replicaIdentity: "f", identity: ["id", "note", "big"] })
    expect(described("by_index")).toEqual({ schema: "golden", replicaIdentity: "i", identity: ["code"] })
    expect(described("Sp ace-ü$x").identity).toEqual(["id"])
    expect(relations.get("every_type")!.columns[0]).toEqual({ name: "id", typeOid: 23, typeModifier: -1, partOfIdentity: true })
  })

  it("hold the text of a value of every type", () => {
    const [full, empty] = rowsOf("every_type") as Array<Extract<WalMessage, { _tag: "Insert" }>>
    const expected = golden.types.map(({ literal, type }) => values.find((one) => one.type === type && one.literal === literal)!.text)
    expect(full!.after).toEqual(["1", ...expected])
    expect(empty!.after).toEqual(["2", ...expected.map(() => null)])
  })

  it("leave out what did not change under REPLICA IDENTITY DEFAULT", () => {
    const [inserted, updated, moved, deleted] = rowsOf("plain")
    const big = expect.stringMatching(/^[0-9a-f]{6400}$/)
    expect(inserted).toMatchObject({ _tag: "Insert", after: ["1", "ä", "first", big] })
    expect(updated).toMatchObject({ _tag: "Update", before: undefined, after: ["1", "ä", null, undefined] })
    expect(moved).toMatchObject({
      _tag: "Update",
      before: { extent: "key", tuple: ["1", "ä", undefined, undefined] },
      after: ["2", "ä", "moved", undefined]
    })
    expect(deleted).toMatchObject({ _tag: "Delete", before: { extent: "key", tuple: ["2", "ä", undefined, undefined] } })
  })

  it("hold the whole old row under REPLICA IDENTITY FULL", () => {
    const [, updated, deleted] = rowsOf("whole")
    const big = expect.stringMatching(/^[0-9a-f]{6400}$/)
    expect(updated).toMatchObject({ before: { extent: "full", tuple: ["1", "first", big] }, after: ["1", "second", undefined] })
    expect(deleted).toMatchObject({ before: { extent: "full", tuple: ["1", "second", big] } })
  })

  it("hold the index's columns under REPLICA IDENTITY USING INDEX", () => {
    const [, unmoved, moved, deleted] = rowsOf("by_index")
    expect(unmoved).toMatchObject({ before: undefined, after: ["a", "y"] })
    expect(moved).toMatchObject({ before: { extent: "key", tuple: ["a", undefined] }, after: ["b", "y"] })
    expect(deleted).toMatchObject({ before: { extent: "key", tuple: ["b", undefined] } })
  })

  it("include logical messages, inside and outside of a transaction", () => {
    expect(messages.filter((message) => message._tag === "Message")).toMatchObject([
      { transactional: true, prefix: "inside", content: Buffer.from([0x00, 0xff]) },
      { transactional: false, prefix: "outside", content: Buffer.from("ünï") }
    ])
  })

  it("name all tables of a truncate", () => {
    expect(messages.find((message) => message._tag === "Truncate")).toEqual({
      _tag: "Truncate",
      relationOids: expect.arrayContaining([relations.get("plain")!.oid, relations.get("whole")!.oid]) as unknown,
      cascade: true,
      restartIdentity: true
    })
  })

  it("say if a truncate came without options", () => {
    const [, second] = messages.filter((message) => message._tag === "Truncate")
    expect(second).toEqual({ _tag: "Truncate", relationOids: [relations.get("by_index")!.oid], cascade: false, restartIdentity: false })
  })

  it("hold a key that is stored out of line as the old key, though it did not change", () => {
    const [inserted, updated, deleted] = rowsOf("big_key")
    const code = "k".repeat(2500)
    expect(inserted).toMatchObject({ after: [code, "first"] })
    expect(updated).toMatchObject({ before: { extent: "key", tuple: [code, undefined] }, after: [undefined, "second"] })
    expect(deleted).toMatchObject({ before: { extent: "key", tuple: [code, undefined] } })
  })

  it("describe a table anew when it has changed", () => {
    const described = messages.flatMap((message) => message._tag === "Relation" && message.table === "changing"
      ? [message.columns.map(({ name, typeModifier }) => `${name} ${typeModifier}`)]
      : [])
    const numeric6and2 = "added 393222"
    expect(described).toEqual([["id -1", "gone -1"], ["id -1", "gone -1", numeric6and2], ["id -1", numeric6and2]])
    expect(rowsOf("changing")).toMatchObject([{ after: ["1", "x"] }, { after: ["2", "y", "1.50"] }, { after: ["3", "2.25"] }])
  })

  it("have stored generated columns from 18 on", () => {
    expect(rowsOf("computed")).toMatchObject([{ after: major === "18" ? ["21", "42"] : ["21"] }])
  })

  it("say where a replicated transaction came from, before its first row", () => {
    const at = messages.findIndex((message) => message._tag === "Origin")
    expect(messages[at]).toEqual({ _tag: "Origin", commitLsn: parseLsn("16/B374D848"), name: "golden_elsewhere" })
    expect(messages.slice(at - 1, at + 3).map(({ _tag }) => _tag)).toEqual(["Begin", "Origin", "Insert", "Commit"])
  })

  it("have each kind of message, row and identity among them", () => {
    expect(new Set(messages.map(({ _tag }) => _tag))).toEqual(new Set(
      ["Begin", "Commit", "Relation", "Insert", "Update", "Delete", "Truncate", "Message", "Type", "Origin"] satisfies ReadonlyArray<WalMessage["_tag"]>))
    expect(new Set([...relations.values()].map(({ replicaIdentity }) => replicaIdentity))).toEqual(new Set(["d", "f", "i", "n"]))
  })

  it("are read from among others", () => {
    const frames = golden.frames.map((frame) => Buffer.from(frame, "base64"))
    const bytes = Buffer.concat(frames)
    let start = 0
    const read = frames.map(({ length }) => withTexts(decode(bytes, start, start += length)))
    expect(read).toEqual(messages)
  })
})
