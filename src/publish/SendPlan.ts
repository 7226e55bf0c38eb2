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
  const shares = new Map<string, number>()
  let start = 0
  let total = 0
  for (let index = 0; index < records.length; index++) {
    const record = records[index]!
    const bytes = bytesOf(record)
    const partition = `${record.topic} ${record.partition}`
    const share = shares.get(partition) ?? 0
    if (index > start && (share + bytes > batchBytes || total + bytes > batchBytes * batchesPerRequest)) {
      parts.push(records.slice(start, index))
      shares.clear()
      start = index
      total = 0
    }
    shares.set(partition, (shares.get(partition) ?? 0) + bytes)
    total += bytes
  }
  if (start < records.length) parts.push(start === 0 ? records : records.slice(start))
  return parts
}

/** What a record takes in a batch, a little more rather than less. */
export const bytesOf = ({ headers, key, value }: OutgoingRecord): number => {
  let bytes = recordOverheadBytes + (key?.length ?? 0) + (value?.length ?? 0)
  if (headers !== undefined) { for (const [name, text] of headers) bytes += headerOverheadBytes + name.length + Buffer.byteLength(text) }
  return bytes
}
