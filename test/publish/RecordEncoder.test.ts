import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { Lsn } from "../../src/domain/Lsn.ts"
import { RowBytes } from "../../src/domain/RowBytes.ts"
import type { OutgoingRecord } from "../../src/domain/OutgoingRecord.ts"
import type { ColumnType, Relation, RowChange, Tuple } from "../../src/domain/RowChange.ts"
import type { Transaction } from "../../src/domain/Transaction.ts"
import * as ColumnPolicy from "../../src/publish/ColumnPolicy.ts"
import { EncodeError } from "../../src/publish/EncodeError.ts"
import { makeRecordEncoder, type RecordEncoderOptions } from "../../src/publish/RecordEncoder.ts"
import { partitionOf } from "../../src/publish/Router.ts"
import { defaultTypes } from "./DefaultTypes.ts"

const type = (name: string): ColumnType => ({ name, kind: "base", modifier: -1 })
const column = (name: string, typeName: string) => ({ name, typeOid: 0, type: type(typeName) })

/** The key is not in table order. */
const customers: Relation = {
  oid: 1, schema: "public", table: "customers", replicaIdentity: "d", sendsOldKey: true, key: [2, 0],
  columns: [column("id", "int8"), column("name", "text"), column("region", "text")]
}
const transaction: Transaction = { xid: 555, commitLsn: Lsn(24_023_128n), commitMicros: 1_559_033_904_863_123n }
const now = 1_559_033_904_870_841n
const options: RecordEncoderOptions = {
  topicPrefix: "hub", database: "postgres", connectorVersion: "0.1.0", epoch: 1,
  partitionsOf: () => 6, maxRecordBytesOf: () => 10_000_000, compacted: () => true, tombstones: true, truncates: true,
  types: defaultTypes, columns: ColumnPolicy.none
}
const common = { relation: customers, transaction, order: 3, collectionOrder: 2 }

const encode = (change: RowChange, changed: Partial<RecordEncoderOptions> = {}): ReadonlyArray<OutgoingRecord> => {
  const records: Array<OutgoingRecord> = []
  makeRecordEncoder({ ...options, ...changed }).encode(change, now, records)
  return records
}

const envelope = (record: OutgoingRecord | undefined) => JSON.parse(record!.value!.toString()) as {
  before: unknown
  after: unknown
  op: string
  source: Record<string, unknown>
  transaction: Record<string, unknown>
}

describe("a record", () => {
  it("is Debezium's envelope, byte for byte", () => {
    const [record, ...more] = encode({ ...common, kind: "insert", after: ["9007199254740993", "Ann \"A\"", "eu"] })
    expect(more).toEqual([])
    expect(record!.key!.toString()).toBe(`{"region":"eu","id":9007199254740993}`)
    expect(record!.value!.toString()).toBe(
      `{"before":null,"after":{"id":9007199254740993,"name":"Ann \\"A\\"","region":"eu"},` +
        `"source":{"version":"0.1.0","connector":"postgresql","name":"hub","ts_ms":1559033904863,"snapshot":"false","db":"postgres",` +
        `"sequence":"[\\"24023128\\",\\"24023128\\"]","ts_us":1559033904863123,"ts_ns":1559033904863123000,"schema":"public",` +
        `"table":"customers","txId":555,"lsn":24023128,"xmin":null,"origin":null,"origin_lsn":null,"epoch":1},` +
        `"transaction":{"id":"555:24023128","total_order":3,"data_collection_order":2},` +
        `"op":"c","ts_ms":1559033904870,"ts_us":1559033904870841,"ts_ns":1559033904870841000}`
    )
  })

  it("has its topic, its key's partition and its position", () => {
    const [record] = encode({ ...common, kind: "insert", after: ["1", null, "eu"] })
    expect(record).toMatchObject({
      topic: "hub.public.customers",
      partition: partitionOf(Buffer.from(`{"region":"eu","id":1}`), 6),
      headers: undefined,
      position: { epoch: 1, commitLsn: 24_023_128n, order: 3 }
    })
  })

  it("of a snapshot says where in the snapshot, and has no transaction id", () => {
    const read = { ...transaction, xid: 0 }
    const encoder = makeRecordEncoder(options)
    const records: Array<OutgoingRecord> = []
    for (const mark of ["first", "true", "last"] as const) {
      encoder.encode({ ...common, transaction: read, kind: "read", mark, after: ["1", null, "eu"] }, now, records)
    }
    encoder.encode({ ...common, kind: "insert", after: ["1", null, "eu"] }, now, records)
    expect(records.map((record) => envelope(record).source.snapshot)).toEqual(["first", "true", "last", "false"])
    const { op, source, transaction: block } = envelope(records[0])
    expect({ op, txId: source.txId, sequence: source.sequence, id: block.id }).toEqual({
      op: "r", txId: null, sequence: `[null,"24023128"]`, id: "0:24023128"
    })
  })

  it("spells a table's name in the topic only as Kafka allows", () => {
    const odd: Relation = { ...customers, schema: "zoo", table: "Sp ace-ü$x" }
    const [record] = encode({ ...common, relation: odd, kind: "insert", after: ["1", null, "eu"] })
    expect(record!.topic).toBe("hub.zoo.Sp_ace-__x")
    expect(envelope(record).source).toMatchObject({ schema: "zoo", table: "Sp ace-ü$x" })
  })

  it("is JSON whatever the row's text", () => {
    const text = fc.option(fc.string({ unit: "grapheme" }))
    fc.assert(fc.property(text, text, (name, region) => {
      const [record] = encode({ ...common, kind: "insert", after: ["1", name, region] })
      expect(envelope(record).after).toEqual({ id: 1, name, region })
      expect(JSON.parse(record!.key!.toString())).toEqual({ region, id: 1 })
    }))
  })
})

describe("an update", () => {
  it("has no before, and a placeholder for what was not sent, under REPLICA IDENTITY DEFAULT", () => {
    const [record, ...more] = encode({ ...common, kind: "update", before: undefined, after: ["1", undefined, "eu"] })
    expect(more).toEqual([])
    expect(envelope(record)).toMatchObject({
      op: "u", before: null, after: { id: 1, name: "__debezium_unavailable_value", region: "eu" }
    })
  })

  it("has all of both rows under REPLICA IDENTITY FULL", () => {
    const full = { extent: "full", tuple: ["1", "long", "eu"] } as const
    const [record] = encode({ ...common, kind: "update", before: full, after: ["1", undefined, "eu"] })
    expect(envelope(record)).toMatchObject({
      before: { id: 1, name: "long", region: "eu" }, after: { id: 1, name: "long", region: "eu" }
    })
  })

  it("whose key did not change but was sent, being stored out of line, stays an update", () => {
    const before = { extent: "key", tuple: ["1", undefined, "eu"] } as const
    const [record, ...more] = encode({ ...common, kind: "update", before, after: ["1", "Ann", undefined] })
    expect(more).toEqual([])
    expect(record!.key!.toString()).toBe(`{"region":"eu","id":1}`)
    expect(envelope(record)).toMatchObject({ op: "u", before: { id: 1, name: null, region: "eu" }, after: { region: "eu" } })
  })

  it("of the key is a delete, its tombstone and a create that name each other's key", () => {
    const before = { extent: "key", tuple: ["1", undefined, "eu"] } as const
    const [deleted, tombstone, created, ...more] = encode({ ...common, kind: "update", before, after: ["2", "Ann", "eu"] })
    const [oldKey, newKey] = [`{"region":"eu","id":1}`, `{"region":"eu","id":2}`]
    expect(more).toEqual([])

    expect(envelope(deleted)).toMatchObject({ op: "d", before: { id: 1, name: null, region: "eu" }, after: null })
    expect(envelope(deleted).transaction).toMatchObject({ total_order: 3, data_collection_order: 2 })
    expect(deleted).toMatchObject({ headers: [["__debezium.newkey", newKey]], position: { order: 3 } })
    expect(deleted!.key!.toString()).toBe(oldKey)

    expect(tombstone).toEqual({
      ...deleted, value: null, headers: [["__debezium.newkey", newKey], ["__cdc.position", "1:24023128:3"]]
    })

    expect(envelope(created)).toMatchObject({ op: "c", before: null, after: { id: 2, name: "Ann", region: "eu" } })
    expect(envelope(created).transaction).toMatchObject({ total_order: 4, data_collection_order: 3 })
    expect(created).toMatchObject({ headers: [["__debezium.oldkey", oldKey]], position: { order: 4 } })
    expect(created!.key!.toString()).toBe(newKey)
  })
})

it("spells a key as Kafka Connect does, and in the headers of a changed one the key as it is", () => {
  const before = { extent: "key", tuple: ["1", undefined, "🎉"] } as const
  const [deleted, tombstone, created] = encode({ ...common, kind: "update", before, after: ["1", "Ann", "eu"] })
  const oldKey = String.raw`{"region":"\uD83C\uDF89","id":1}`
  expect([deleted, tombstone].map((record) => record!.key!.toString())).toEqual([oldKey, oldKey])
  expect(created!.headers).toContainEqual(["__debezium.oldkey", `{"region":"🎉","id":1}`])
  expect(makeRecordEncoder(options).key(customers, before.tuple)).toBe(oldKey)
})

describe("a delete", () => {
  const byKey = { ...common, kind: "delete", before: { extent: "key", tuple: ["1", undefined, "eu"] } } as const

  it("invents nothing under REPLICA IDENTITY DEFAULT, and has a tombstone with its position", () => {
    const [deleted, tombstone, ...more] = encode(byKey)
    expect(more).toEqual([])
    expect(envelope(deleted)).toMatchObject({ op: "d", before: { id: 1, name: null, region: "eu" }, after: null })
    expect(tombstone).toEqual({ ...deleted, value: null, headers: [["__cdc.position", "1:24023128:3"]] })
  })

  it("has no tombstone if those are turned off", () => {
    expect(encode(byKey, { tombstones: false }).map((record) => envelope(record).op)).toEqual(["d"])
  })

  it("of a table without a key has none, nor its tombstone, and stays in the first partition", () => {
    const relation: Relation = { ...customers, replicaIdentity: "f", sendsOldKey: true, key: [] }
    const change: RowChange = { ...common, relation, kind: "delete", before: { extent: "full", tuple: ["1", "Ann", "eu"] } }
    const records = encode(change, { compacted: () => false })
    expect(records).toMatchObject([{ key: null, partition: 0 }, { key: null, partition: 0, value: null }])
    expect(envelope(records[0]).before).toEqual({ id: 1, name: "Ann", region: "eu" })
  })

  it("whose key was not sent is refused, naming the table and the remedy", () => {
    const relation: Relation = { ...customers, replicaIdentity: "i" }
    const change: RowChange = { ...byKey, relation, before: { extent: "key", tuple: [undefined, "Ann", undefined] } }
    expect(() => encode(change)).toThrow(EncodeError)
    expect(() => encode(change)).toThrow(/public\.customers: .* \(region\) .*ALTER TABLE public\.customers REPLICA IDENTITY DEFAULT.*cdc snapshot public\.customers/)
  })
})

describe("what can't become a record", () => {
  const update: RowChange = { ...common, kind: "update", before: undefined, after: ["1", "Ann", "eu"] }

  it("is an update that may have moved its row from a key that is not in the replica identity", () => {
    expect(encode(update)).toHaveLength(1)
    expect(() => encode({ ...update, relation: { ...customers, sendsOldKey: false } })).toThrow(/old key \(region, id\)/)
  })

  it("is any change of a table whose topic is gone, or that has no key while its topic needs one", () => {
    expect(() => encode(update, { partitionsOf: () => undefined })).toThrow(/public\.customers: topic hub\.public\.customers is gone.*cdc setup/)
    expect(() => encode({ ...update, relation: { ...customers, key: [] } })).toThrow(/no key any more.*compacted.*primary key/)
  })
})

describe("a truncate", () => {
  const truncate: RowChange = { ...common, kind: "truncate" }

  it("goes to every partition, with a key where the topic is compacted", () => {
    const records = encode(truncate)
    expect(records.map(({ partition }) => partition)).toEqual([0, 1, 2, 3, 4, 5])
    expect(new Set(records.map(({ key }) => key!.toString()))).toEqual(new Set([`{"__cdc_truncate":"public.customers"}`]))
    expect(envelope(records[0])).toMatchObject({ op: "t", before: null, after: null, transaction: { total_order: 3 } })
  })

  it("has no key where the topic is not compacted", () => {
    expect(encode(truncate, { compacted: () => false }).every(({ key }) => key === null)).toBe(true)
  })

  it("is left out if truncates are turned off", () => {
    expect(encode(truncate, { truncates: false })).toEqual([])
  })
})

describe("a row that is bytes", () => {
  const bytesOf = (texts: ReadonlyArray<string | null | undefined>): RowBytes => {
    const row = new RowBytes(Buffer.from(texts.map((text) => text ?? "").join("")), texts.length)
    let start = 0
    for (const [column, text] of texts.entries()) {
      if (typeof text === "string") row.setText(column, start, start += Buffer.byteLength(text))
      else row.setMissing(column, text)
    }
    return row
  }
  const text = fc.oneof(fc.string({ unit: "grapheme", maxLength: 100 }), fc.string({ unit: fc.constantFrom(..."az\"\\"), maxLength: 4000 }))
  const number = fc.bigInt().map(String)
  const row = fc.tuple(number, fc.option(text), text)
  const whole = fc.tuple(row, fc.subarray([0, 1])).map(([row, absent]) => row.map((value, column) => (absent.includes(column as 0) ? undefined : value)))

  it("becomes the records that its texts become", () => {
    const same = (of: (made: (texts: ReadonlyArray<string | null | undefined>) => Tuple) => RowChange) =>
      expect(encode(of(bytesOf))).toEqual(encode(of((texts) => texts)))
    fc.assert(fc.property(row, row, whole, (first, second, partial) => {
      same((made) => ({ ...common, kind: "insert", after: made(first) }))
      same((made) => ({ ...common, kind: "read", after: made(first), mark: "true" }))
      same((made) => ({ ...common, kind: "update", before: { extent: "full", tuple: made(first) }, after: made(partial) }))
      same((made) => ({ ...common, kind: "update", before: { extent: "key", tuple: made([first[0], undefined, first[2]]) }, after: made(second) }))
      same((made) => ({ ...common, kind: "delete", before: { extent: "key", tuple: made([first[0], undefined, first[2]]) } }))
    }), { numRuns: 300 })
  })
})
