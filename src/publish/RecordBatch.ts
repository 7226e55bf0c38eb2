import { compressionsAlgorithms, crc32c, Writer } from "@platformatic/kafka"
import type { OutgoingRecord } from "../domain/OutgoingRecord.ts"

export type Compression = "none" | "gzip" | "lz4" | "zstd" | "snappy"

/** By whom a batch is written, and as which of his. */
export interface BatchOptions {
  readonly producerId: bigint
  readonly producerEpoch: number
  /** Of the first record: how many this producer wrote to the partition before. */
  readonly firstSequence: number
  /** Of every record. */
  readonly timestampMillis: bigint
  readonly compression: Compression
}

/** Gives so many bytes, of any content. */
export type Allocate = (bytes: number) => Buffer

/**
 * The records of one partition as Kafka stores them, record batch format 2: built in one piece of memory, which the client's own encoder
 * makes of six small ones per record. Not empty. The memory comes from `allocate`.
 * Source: https://kafka.apache.org/documentation/#recordbatch
 */
export const encode = async (records: ReadonlyArray<OutgoingRecord>, options: BatchOptions, allocate: Allocate = Buffer.allocUnsafe): Promise<Buffer> => {
  const algorithm = compressionsAlgorithms[options.compression]
  const lengths = records.map(recordLength)
  const recordsBytes = lengths.reduce((sum, length) => sum + varIntLength(length) + length, 0)
  if (algorithm.bitmask === 0) {
    const batch = allocate(headerBytes + recordsBytes)
    writeRecords(batch, headerBytes, records, lengths)
    return finish(batch, records.length, algorithm.bitmask, options)
  }
  const plain = allocate(recordsBytes)
  writeRecords(plain, 0, records, lengths)
  const compressed = await compress(algorithm, plain)
  return finish(Buffer.concat([Buffer.allocUnsafe(headerBytes), compressed]), records.length, algorithm.bitmask, options)
}

/** gzip takes long enough to be worth a thread. */
const compress = (algorithm: (typeof compressionsAlgorithms)[Compression], plain: Buffer): Promise<Buffer> | Buffer =>
  "compress" in algorithm ? algorithm.compress(plain) : algorithm.compressSync(plain)

/** Up to the number of records. */
const headerBytes = 61
/** Behind the length, which does not count what comes before it. */
const beforeLengthBytes = 12
/** Where what the checksum covers begins. */
const checkedFrom = 21
const magic = 2

const finish = (batch: Buffer, count: number, attributes: number, options: BatchOptions): Buffer => {
  batch.writeBigInt64BE(0n, 0) // the broker says which offset it is
  batch.writeInt32BE(batch.length - beforeLengthBytes, 8)
  batch.writeInt32BE(0, 12) // the leader's epoch, which the broker sets
  batch.writeInt8(magic, 16)
  batch.writeInt16BE(attributes, 21)
  batch.writeInt32BE(count - 1, 23)
  batch.writeBigInt64BE(options.timestampMillis, 27)
  batch.writeBigInt64BE(options.timestampMillis, 35)
  batch.writeBigInt64BE(options.producerId, 43)
  batch.writeInt16BE(options.producerEpoch, 51)
  batch.writeInt32BE(options.firstSequence, 53)
  batch.writeInt32BE(count, 57)
  batch.writeUInt32BE(crc32c(Writer.create().append(batch.subarray(checkedFrom)).dynamicBuffer), 17) // it copies what is not the client's own
  return batch
}

/** A record's attributes and its timestamp's delta, both 0. */
const fixedBytes = 2

const recordLength = ({ headers, key, value }: OutgoingRecord, index: number): number => {
  let length = fixedBytes + varIntLength(index) + bytesLength(key) + bytesLength(value) + varIntLength(headers?.length ?? 0)
  if (headers === undefined) return length
  for (const [name, text] of headers) length += textLength(name) + textLength(text)
  return length
}

const bytesLength = (bytes: Buffer | null): number => bytes === null ? varIntLength(-1) : varIntLength(bytes.length) + bytes.length

const textLength = (text: string): number => {
  const length = Buffer.byteLength(text)
  return varIntLength(length) + length
}

const writeRecords = (into: Buffer, start: number, records: ReadonlyArray<OutgoingRecord>, lengths: ReadonlyArray<number>): void => {
  let at = start
  for (let index = 0; index < records.length; index++) {
    const { headers, key, value } = records[index]!
    at = writeVarInt(into, at, lengths[index]!)
    into[at++] = 0
    into[at++] = 0
    at = writeVarInt(into, at, index)
    at = writeBytes(into, at, key)
    at = writeBytes(into, at, value)
    at = writeVarInt(into, at, headers?.length ?? 0)
    if (headers !== undefined) { for (const [name, text] of headers) at = writeText(into, writeText(into, at, name), text) }
  }
}

const writeBytes = (into: Buffer, at: number, bytes: Buffer | null): number => {
  if (bytes === null) return writeVarInt(into, at, -1)
  const start = writeVarInt(into, at, bytes.length)
  into.set(bytes, start)
  return start + bytes.length
}

const writeText = (into: Buffer, at: number, text: string): number => {
  const start = writeVarInt(into, at, Buffer.byteLength(text))
  return start + into.write(text, start)
}

/** Zigzag: 0, −1, 1, −2, … become 0, 1, 2, 3, …, written seven bits at a time, the lowest first. */
const zigzag = (value: number): number => ((value << 1) ^ (value >> 31)) >>> 0

const writeVarInt = (into: Buffer, at: number, value: number): number => {
  let rest = zigzag(value)
  while (rest > 0x7f) {
    into[at++] = (rest & 0x7f) | 0x80
    rest >>>= 7
  }
  into[at++] = rest
  return at
}

const varIntLength = (value: number): number => {
  const rest = zigzag(value)
  return rest < 0x80 ? 1 : rest < 0x4000 ? 2 : rest < 0x20_0000 ? 3 : rest < 0x1000_0000 ? 4 : 5
}
