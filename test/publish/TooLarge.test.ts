import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { unavailableValue } from "../../src/domain/UnavailableValue.ts"
import { Lsn } from "../../src/domain/Lsn.ts"
import type { OutgoingRecord } from "../../src/domain/OutgoingRecord.ts"
import type { Relation, RowChange, Tuple } from "../../src/domain/RowChange.ts"
import * as ColumnPolicy from "../../src/publish/ColumnPolicy.ts"
import { makeRecordEncoder } from "../../src/publish/RecordEncoder.ts"
import * as RecordPosition from "../../src/publish/RecordPosition.ts"
import { bytesOf } from "../../src/publish/SendPlan.ts"
import * as TooLarge from "../../src/publish/TooLarge.ts"
import { defaultTypes } from "./DefaultTypes.ts"

const column = (name: string, type = "text") => ({ name, typeOid: 0, type: { name: type, kind: "base" as const, modifier: -1 } })
const relation: Relation = {
  oid: 1, schema: "public", table: "notes", replicaIdentity: "f", sendsOldKey: true, key: [0],
  columns: [column("id"), column("body"), column("a,b"), column("data", "bytea"), column("n", "int4")]
}
const transaction = { xid: 7, commitLsn: Lsn(1_000n), commitMicros: 1_000_000n }
const common = { relation, transaction, order: 3, collectionOrder: 3 }

const encoderOf = (limit: number) =>
  makeRecordEncoder({
    topicPrefix: "hub", database: "postgres", connectorVersion: "0.1.0", epoch: 1, partitionsOf: () => 6, compacted: () => true,
    maxRecordBytesOf: () => limit, tombstones: true, truncates: true, types: defaultTypes, columns: ColumnPolicy.none
  })

const encode = (change: RowChange, limit: number): ReadonlyArray<OutgoingRecord> => {
  const records: Array<OutgoingRecord> = []
  encoderOf(limit).encode(change, 2_000_000n, records)
  return records
}

const header = (record: OutgoingRecord, name: string) => record.headers?.find(([found]) => found === name)?.[1]
const lacking = (record: OutgoingRecord) => header(record, "__cdc.columns.too.large")
const rows = (record: OutgoingRecord) => JSON.parse(record.value!.toString()) as { before: Record<string, unknown> | null; after: Record<string, unknown> | null }
const large = (bytes: number) => "x".repeat(bytes)

describe("a record that is too large for its topic", () => {
  it("lacks its largest column, says which, and has a dead letter of its key, its size and its position behind it", () => {
    const [record, letter, ...more] = encode({ ...common, kind: "insert", after: ["k", large(3_000), large(50), null, "4"] }, 2_000)
    expect(more).toEqual([])
    expect(rows(record!).after).toEqual({ id: "k", body: unavailableValue, "a,b": large(50), data: null, n: 4 })
    expect(lacking(record!)).toBe("body")
    expect(letter).toMatchObject({ topic: "hub.public.notes.capture.dlq", partition: 0, value: null, position: record!.position })
    expect(letter!.key!.toString()).toBe(`{"id":"k"}`)
    expect(Object.fromEntries(letter!.headers!)).toMatchObject({
      "__cdc.position": "1:1000:3",
      "__connect.errors.topic": "hub.public.notes",
      "__connect.errors.partition": String(record!.partition),
      "__connect.errors.connector.name": "capture",
      "__connect.errors.stage": "KAFKA_PRODUCE",
      "__connect.errors.exception.class.name": "record-too-large",
      "__cdc.errors.record.bytes": expect.stringMatching(/^3\d\d\d$/)
    })
    expect(header(letter!, "__connect.errors.exception.message")).toMatch(/^The record has 3\d{3} bytes, its topic takes 2000: published without body$/)
    const headers = letter!.headers!.map(([name, value]) => [Buffer.from(name), Buffer.from(value)] as const)
    expect(RecordPosition.read(null, headers)?.position).toEqual(letter!.position)
  })

  it("lacks as many as needed, named as Postgres spells them, in the old row as in the new", () => {
    const before: Tuple = ["k", large(900), large(1_400), "\\x00", "3"]
    const [record] = encode({ ...common, kind: "update", before: { extent: "full", tuple: before }, after: ["k", large(901), large(1_400), "\\x01", "4"] }, 2_000)
    const { after, before: old } = rows(record!)
    expect(lacking(record!)).toBe(`body,"a,b"`)
    expect(old).toEqual({ id: "k", body: unavailableValue, "a,b": unavailableValue, data: "AA==", n: 3 })
    expect(after).toEqual({ id: "k", body: unavailableValue, "a,b": unavailableValue, data: "AQ==", n: 4 })
  })

  it("that is a delete keeps its tombstone, which lacks nothing", () => {
    const [deleted, tombstone, letter] = encode({ ...common, kind: "delete", before: { extent: "full", tuple: ["k", large(9_000), null, null, null] } }, 2_000)
    expect(lacking(deleted!)).toBe("body")
    expect(tombstone).toMatchObject({ topic: "hub.public.notes", value: null })
    expect(lacking(tombstone!)).toBeUndefined()
    expect(letter!.topic).toBe("hub.public.notes.capture.dlq")
  })

  it("that is a change of key keeps both keys and their headers", () => {
    const records = encode({
      ...common, kind: "update",
      before: { extent: "full", tuple: ["old", large(9_000), null, null, null] }, after: ["new", large(9_000), null, null, null]
    }, 2_000)
    expect(records.map(({ headers, topic, value }) => [topic.slice(11), value === null, headers!.map(([name]) => name)])).toEqual([
      ["notes", false, ["__debezium.newkey", "__cdc.columns.too.large"]],
      ["notes", true, ["__debezium.newkey", "__cdc.position"]],
      ["notes", false, ["__debezium.oldkey", "__cdc.columns.too.large"]],
      ["notes.capture.dlq", true, expect.anything()]
    ])
  })

  it("is not published if its key is what is too large", () => {
    const [letter, ...more] = encode({ ...common, kind: "insert", after: [large(3_000), large(10), null, null, "4"] }, 2_000)
    expect(more).toEqual([])
    expect(letter).toMatchObject({ topic: "hub.public.notes.capture.dlq", key: null, value: null })
    expect(TooLarge.reasonOf(letter!)).toBe("key-too-large")
  })

  it("is never sent larger than its topic takes, whatever the row, and never lacks its key or a column without need", () => {
    const value = fc.option(fc.nat(1_500).map(large))
    const tuple = fc.tuple(fc.nat(300).map(large), value, value, value.map((text) => text && `\\x${text.replaceAll("x", "0a")}`), fc.constant("4"))
    fc.assert(fc.property(tuple, tuple, fc.integer({ min: 900, max: 6_000 }), (before, after, limit) => {
      const change: RowChange = { ...common, kind: "update", before: { extent: "full", tuple: before }, after: [before[0], ...after.slice(1)] as Tuple }
      const whole = encode(change, Infinity)
      const records = encode(change, limit)
      const isWhole = whole.every((record) => bytesOf(record) <= limit)
      expect(records.some(TooLarge.isLetter)).toBe(!isWhole)
      if (isWhole) expect(records).toEqual(whole)
      for (const record of records.filter((record) => !TooLarge.isLetter(record))) {
        expect(bytesOf(record)).toBeLessThanOrEqual(limit)
        expect(record.key!.toString()).toBe(JSON.stringify({ id: before[0] }))
        expect(rows(record).after!.id).toBe(before[0])
      }
    }))
  })
})

describe("the sweep of a key", () => {
  const swept = (key: string, limit: number) => {
    const records: Array<OutgoingRecord> = []
    const isSwept = encoderOf(limit).sweep(relation, { partition: 1, key: Buffer.from(JSON.stringify({ id: key })) }, transaction, 1, records)
    expect(records.map(({ value }) => value === null)).toEqual(isSwept ? [false, true] : [])
    return isSwept
  }

  it("is not made where a row that is there could not have been published under it", () => {
    fc.assert(fc.property(fc.integer({ min: 1, max: 1_500 }), fc.integer({ min: 700, max: 4_000 }), fc.array(fc.integer({ min: 0, max: 400 }), { minLength: 2, maxLength: 2 }), (keyLength, limit, [body, other]) => {
      const key = "k".repeat(keyLength)
      const isPublished = encode({ ...common, kind: "insert", after: [key, large(body!), large(other!), "\\x00", "4"] }, limit).some(({ topic }) => topic === "hub.public.notes")
      if (!isPublished) expect(swept(key, limit)).toBe(false)
    }))
    expect([swept("k", 2_000), swept("k".repeat(2_000), 2_000), swept("k".repeat(2_000), 6_000)]).toEqual([true, false, true])
  })
})
