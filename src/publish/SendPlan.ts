import type { OutgoingRecord } from "../domain/OutgoingRecord.ts"

/** One request holds a batch per partition; this many times a batch's bytes is enough to fill the brokers' pipes. */
const batchesPerRequest = 4

/** Kafka's framing of a record: its attributes, and up to five bytes for each of its lengths and deltas. */
const recordOverheadBytes = 32
/** The two lengths of a header. */
const headerOverheadBytes = 10

/**
 * Cuts records into requests, in order: a partition's share of one stays below `batchBytes` (a batch over the topic's
 * `max.message.bytes` fails whole), a request below a few of them. A single record may be larger: it goes alone.
 */
export const cut = (records: ReadonlyArray<OutgoingRecord>, batchBytes: number): ReadonlyArray<ReadonlyArray<OutgoingRecord>> => {
  const parts: Array<ReadonlyArray<OutgoingRecord>> = []
  const shares = new Shares()
  let start = 0
  let total = 0
  for (let index = 0; index < records.length; index++) {
    const record = records[index]!
    const bytes = bytesOf(record)
    if (index > start && (shares.of(record) + bytes > batchBytes || total + bytes > batchBytes * batchesPerRequest)) {
      parts.push(records.slice(start, index))
      shares.clear()
      start = index
      total = 0
    }
    shares.add(record, bytes)
    total += bytes
  }
  if (start < records.length) parts.push(start === 0 ? records : records.slice(start))
  return parts
}

/** Bytes by partition. Of a topic's name no text is made, which would cost more than all the rest. */
class Shares {
  readonly #topics = new Map<string, Array<number>>()

  of({ partition, topic }: OutgoingRecord): number {
    return this.#topics.get(topic)?.[partition] ?? 0
  }

  add(record: OutgoingRecord, bytes: number): void {
    let partitions = this.#topics.get(record.topic)
    if (partitions === undefined) this.#topics.set(record.topic, partitions = [])
    partitions[record.partition] = this.of(record) + bytes
  }

  clear(): void {
    this.#topics.clear()
  }
}

/** What a record takes in a batch, a little more rather than less. */
export const bytesOf = ({ headers, key, value }: OutgoingRecord): number => {
  let bytes = recordOverheadBytes + (key?.length ?? 0) + (value?.length ?? 0)
  if (headers !== undefined) { for (const [name, text] of headers) bytes += headerOverheadBytes + name.length + Buffer.byteLength(text) }
  return bytes
}
