import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { readRecord } from "../../src/consume/EnvelopeReader.ts"
import { Lsn } from "../../src/domain/Lsn.ts"
import type { RawRecord } from "../../src/domain/SourceChange.ts"

const record = (value: unknown, key: unknown = { id: "k" }): RawRecord => ({
  topic: "hub.outreach.bit_signals",
  partition: 0,
  offset: 7n,
  key: bytes(key),
  value: bytes(value),
  headers: []
})
const bytes = (value: unknown): Buffer | null =>
  value === null ? null : Buffer.isBuffer(value) ? value : Buffer.from(JSON.stringify(value))

const source = { epoch: 1, ts_us: 1_700_000_000_000_000 }
const transaction = { id: "741:97500059720", total_order: 3, data_collection_order: 1 }
const envelope = (over: Record<string, unknown> = {}) => ({ op: "u", before: null, after: { id: "k", n: 1 }, source, transaction, ...over })
const position = { epoch: 1, commitLsn: Lsn(97_500_059_720n), order: 3 }

describe("readRecord", () => {
  it.each([
    ["c", { kind: "upsert", isRead: false, isNew: true }],
    ["u", { kind: "upsert", isRead: false, isNew: false }],
    ["r", { kind: "upsert", isRead: true, isNew: true }],
    ["d", { kind: "delete" }]
  ])("reads op %s", (op, expected) => {
    const raw = record(envelope({ op, ...(op === "d" ? { after: null } : {}) }))
    expect(readRecord(raw)).toEqual({
      _tag: "Change",
      change: {
        record: raw,
        position,
        commitMicros: source.ts_us,
        xid: 741,
        key: "k",
        ...expected,
        ...(op === "d" ? {} : { row: { id: "k", n: 1 } })
      }
    })
  })

  it("reads a truncate whatever its key, and a tombstone as nothing", () => {
    const truncate = record(envelope({ op: "t", after: null }), null)
    expect(readRecord(truncate)).toEqual({ _tag: "Change", change: { record: truncate, position, commitMicros: source.ts_us, xid: 741, kind: "truncate" } })
    expect(readRecord(record(null))).toEqual({ _tag: "Tombstone" })
  })

  it("makes one text of a key of several columns, in their order", () => {
    const read = readRecord(record(envelope(), { b: "x", a: 2 }))
    expect(read).toMatchObject({ change: { key: "[\"x\",2]" } })
    expect(readRecord(record(envelope(), { id: 42 }))).toMatchObject({ change: { key: "42" } })
  })

  it.each<[string, string, unknown, unknown?]>([
    ["not-json", "a broken text", Buffer.from("{\"op\":")],
    ["not-an-envelope", "a number", 7],
    ["not-an-envelope", "a list", []],
    ["not-an-envelope", "another object", { hello: "world" }],
    ["not-an-envelope", "no transaction", envelope({ transaction: null })],
    ["not-an-envelope", "a source that is a list", envelope({ source: [] })],
    ["not-an-envelope", "no row", envelope({ after: null })],
    ["not-an-envelope", "a row that is a list", envelope({ after: ["k"] })],
    ["not-an-envelope", "no instant", envelope({ source: { epoch: 1 } })],
    ["not-an-envelope", "half an instant", envelope({ source: { epoch: 1, ts_us: 0.5 } })],
    ["no-position", "no epoch", envelope({ source: { ts_us: 1 } })],
    ["no-position", "an epoch beyond integer", envelope({ source: { epoch: 2 ** 31, ts_us: 1 } })],
    ["no-position", "an LSN beyond bigint", envelope({ transaction: { ...transaction, id: "1:9223372036854775808" } })],
    ["no-position", "a transaction without LSN", envelope({ transaction: { ...transaction, id: "741" } })],
    ["no-position", "an order beyond measure", envelope({ transaction: { ...transaction, total_order: 1e300 } })],
    ["no-position", "an order before the first", envelope({ transaction: { ...transaction, total_order: -1 } })],
    ["no-key", "a null key", envelope(), null],
    ["no-key", "a key without columns", envelope(), {}],
    ["no-key", "a key that is a text", envelope(), "k"],
    ["no-key", "a key column that is null", envelope(), { id: null }],
    ["no-key", "a key that Postgres can't store", envelope(), { id: "a\0b" }],
    ["zero-in-text", "a text that Postgres can't store", envelope({ after: { id: "k", text: "a\0b" } })],
    ["half-in-text", "a text that UTF-8 can't hold", envelope({ after: { id: "k", text: "a\ud800" } })],
    ["no-key", "a key that UTF-8 can't hold", envelope(), { id: "\udfff" }],
    ["unknown-op", "a message", envelope({ op: "m" })]
  ])("names %s: %s", (reason, _, value, key = { id: "k" }) => {
    expect(readRecord(record(value, key))).toMatchObject({ _tag: "Unreadable", why: { reason } })
  })

  it("takes a backslash before u0000 for what it is", () => {
    expect(readRecord(record(envelope({ after: { id: "k", text: "\\u0000" } })))).toMatchObject({ _tag: "Change" })
  })

  it("never repeats a value in its message", () => {
    fc.assert(fc.property(fc.string({ minLength: 12 }), (secret) => {
      const read = readRecord(record(envelope({ op: secret, after: { secret } }), { id: secret }))
      expect(read._tag === "Unreadable" ? read.why.message : "").not.toContain(secret)
    }))
  })

  it("throws at nothing: any bytes, any JSON, any envelope with any parts", () => {
    const anyBytes = fc.option(fc.uint8Array().map((array) => Buffer.from(array)), { freq: 5 })
    const anyJson = fc.json().map((text) => Buffer.from(text))
    const anyEnvelope = fc.record({
      op: fc.oneof(fc.constantFrom("c", "u", "r", "d", "t"), fc.jsonValue()),
      after: fc.jsonValue(),
      source: fc.oneof(fc.constant(source), fc.jsonValue()),
      transaction: fc.oneof(fc.constant(transaction), fc.jsonValue())
    }, { requiredKeys: [] }).map((value) => Buffer.from(JSON.stringify(value)))
    const part = fc.oneof(anyBytes, anyJson, anyEnvelope)
    fc.assert(
      fc.property(part, part, (key, value) => {
        expect(["Change", "Unreadable", "Tombstone"]).toContain(readRecord({ ...record(null), key, value })._tag)
      }),
      { numRuns: 1_000 }
    )
  })
})
