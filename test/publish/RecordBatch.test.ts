import { createRecordsBatch, NumericMap } from "@platformatic/kafka"
import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import type { OutgoingRecord } from "../../src/domain/OutgoingRecord.ts"
import { Lsn } from "../../src/domain/Lsn.ts"
import * as RecordBatch from "../../src/publish/RecordBatch.ts"

const position = { epoch: 1, commitLsn: Lsn(1n), order: 1 }
const bytes = fc.option(fc.uint8Array({ maxLength: 200 }).map((array) => Buffer.from(array)))
const headers = fc.option(fc.uniqueArray(fc.tuple(fc.string({ unit: "grapheme" }), fc.string({ unit: "grapheme" })), { minLength: 1, maxLength: 3, selector: ([name]) => name }), { nil: undefined })
const record = fc.record({ key: bytes, value: bytes, headers }).map((parts): OutgoingRecord => ({ topic: "t", partition: 3, position, ...parts }))

/** The same records as the client encodes them. */
const asClient = (records: ReadonlyArray<OutgoingRecord>, { compression, firstSequence, producerEpoch, producerId, timestampMillis }: RecordBatch.BatchOptions): Buffer => {
  const sequences = new NumericMap()
  sequences.set("t:3", firstSequence)
  const messages = records.map(({ headers, key, partition, topic, value }) => ({
    topic, partition, key, value, timestamp: timestampMillis,
    headers: headers === undefined ? undefined : new Map(headers.map(([name, text]) => [Buffer.from(name), Buffer.from(text)]))
  }))
  return createRecordsBatch(messages as never, { compression, producerId, producerEpoch, sequences } as never).buffer
}

const options = { producerId: 4711n, producerEpoch: 7, firstSequence: 12_345, timestampMillis: 1_795_000_000_000n, compression: "none" } as const

describe("RecordBatch", () => {
  it("is what the client makes of the same records, byte for byte", () =>
    fc.assert(fc.asyncProperty(fc.array(record, { minLength: 1, maxLength: 200 }), async (records) => {
      expect((await RecordBatch.encode(records, options)).equals(asClient(records, options))).toBe(true)
    }), { numRuns: 200 }))

  it("writes lengths of every size", async () => {
    for (const size of [0, 1, 63, 64, 8_191, 8_192, 1_048_575, 1_048_576, 3_000_000]) {
      const records = [{ topic: "t", partition: 3, position, headers: undefined, key: null, value: Buffer.alloc(size, 120) }]
      expect((await RecordBatch.encode(records, options)).equals(asClient(records, options))).toBe(true)
    }
  })

  it.each(["gzip", "lz4", "zstd", "snappy"] as const)("compresses with %s as the client does", async (compression) => {
    const records = fc.sample(record, { numRuns: 100, seed: 1 })
    expect((await RecordBatch.encode(records, { ...options, compression })).equals(asClient(records, { ...options, compression }))).toBe(true)
  })
})
