import { type Connection, NumericMap, produceV10, produceV11, produceV3, produceV4, produceV5, produceV6, produceV7, produceV8, produceV9, type Writer } from "@platformatic/kafka"
import { describe, expect, it } from "vitest"
import type { OutgoingRecord } from "../../src/domain/OutgoingRecord.ts"
import { Lsn } from "../../src/domain/Lsn.ts"
import * as ProduceRequest from "../../src/publish/ProduceRequest.ts"
import * as RecordBatch from "../../src/publish/RecordBatch.ts"

const versions = [produceV3, produceV4, produceV5, produceV6, produceV7, produceV8, produceV9, produceV10, produceV11]
const timestamp = 1_795_000_000_000n
const identity = { producerId: 4711n, producerEpoch: 7, compression: "none" } as const
const places = [["a", 0], ["a", 5], ["b", 2]] as const

/** What goes to a connection: the key, the version, and the bytes of the request. */
const sent = (call: (connection: Connection) => unknown): ReadonlyArray<unknown> => {
  let seen: ReadonlyArray<unknown> = []
  call({
    send: (key: number, version: number, payload: () => Writer, _parser: unknown, requestTags: boolean, responseTags: boolean) => {
      seen = [key, version, payload().buffer.toString("hex"), requestTags, responseTags]
    }
  } as unknown as Connection)
  return seen
}

describe("ProduceRequest", () => {
  it.each(versions.map(({ api }) => [api.version, api] as const))("in version %d is what the client sends, byte for byte", async (version, api) => {
    const records = places.map(([topic, partition]): OutgoingRecord => ({
      topic, partition, key: Buffer.from(`{"id":${partition}}`), value: Buffer.from("{}"), headers: undefined,
      position: { epoch: 1, commitLsn: Lsn(1n), order: 1 }
    }))
    const batches = await Promise.all(records.map(async (record) => ({
      topic: record.topic,
      partition: record.partition,
      bytes: await RecordBatch.encode([record], { ...identity, firstSequence: 0, timestampMillis: timestamp })
    })))
    const messages = records.map(({ key, partition, topic, value }) => ({ topic, partition, key, value, timestamp }))
    const theirs = sent((connection) => void api.async(connection, -1, 5_000, messages as never, { ...identity, sequences: new NumericMap() } as never))
    expect(sent((connection) => void ProduceRequest.make(version)(connection, batches))).toEqual(theirs)
  })
})
