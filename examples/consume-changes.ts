/*
 * Reads one table's topic with stock kafkajs and keeps the latest state of every key: a start for your own.
 *
 *   KAFKA_BROKERS=127.0.0.1:9092 npx node examples/consume-changes.ts hub.outreach.bit_scores
 *
 * Against `npm start`, take the address that it prints. Ctrl-C stops it; it then says what it holds.
 */
import { Kafka, type KafkaMessage, logLevel } from "kafkajs"

const topic = process.argv[2] ?? "hub.outreach.bit_scores"
const brokers = (process.env.KAFKA_BROKERS ?? "127.0.0.1:9092").split(",")

/** Where a record stands: (epoch, commit LSN, order). The LSN is 64 bits wide, hence the bigint. */
type Position = readonly [epoch: number, commitLsn: bigint, order: number]

/** What is used here of an envelope; docs/wire-format.md has all of it. */
interface Envelope {
  readonly op: "c" | "u" | "d" | "r" | "t"
  readonly after: Readonly<Record<string, unknown>> | null
  readonly source: { readonly epoch: number }
  readonly transaction: { readonly id: string; readonly total_order: number }
}

/** A row, and the partition that it came through. */
interface Held {
  readonly row: Readonly<Record<string, unknown>>
  readonly partition: number
}

const rows = new Map<string, Held>()
const last = new Map<number, Position>() // by partition; keep it beside what you compute, in the same transaction
let applied = 0
let repeated = 0

const apply = (partition: number, { key, value }: KafkaMessage): void => {
  if (value === null) return // a tombstone, for compaction: its delete came just before
  const envelope = JSON.parse(value.toString()) as Envelope
  const position = positionOf(envelope)
  const before = last.get(partition)
  if (before !== undefined && !isAfter(position, before)) {
    repeated++ // the same record once more
    return
  }
  last.set(partition, position)
  applied++
  if (envelope.op === "t") {
    // Every partition gets a `t` of its own, and it speaks for that partition only.
    for (const [held, { partition: of }] of rows) if (of === partition) rows.delete(held)
  } else if (envelope.op === "d") {
    rows.delete(String(key))
  } else {
    rows.set(String(key), { row: envelope.after!, partition })
  }
}

const positionOf = ({ source, transaction }: Envelope): Position =>
  [source.epoch, BigInt(transaction.id.split(":")[1]!), transaction.total_order]

const isAfter = (a: Position, b: Position): boolean =>
  a[0] !== b[0] ? a[0] > b[0] : a[1] !== b[1] ? a[1] > b[1] : a[2] > b[2]

const consumer = new Kafka({ clientId: "consume-changes", brokers, logLevel: logLevel.ERROR }).consumer({
  groupId: `consume-changes-${process.pid}` // a new group each time: rows are in memory only, so every run reads from the beginning
})

const report = (): void => console.log(`${topic}: ${rows.size} rows; ${applied} changes applied, ${repeated} seen before`)

await consumer.connect()
await consumer.subscribe({ topics: [topic], fromBeginning: true })
await consumer.run({
  eachBatch: async ({ batch }) => {
    for (const message of batch.messages) apply(batch.partition, message)
    report()
  }
})

process.once("SIGINT", async () => {
  await consumer.disconnect()
  for (const [key, { row }] of [...rows].slice(0, 3)) console.log(key, JSON.stringify(row))
  report()
})
