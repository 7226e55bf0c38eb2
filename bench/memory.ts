/**
 * What capture holds in memory, whatever comes: the same rows in many transactions and in one, and rows larger than any topic takes.
 *
 *   npm run bench -- memory [--rows 1000000] [--large 20]
 *
 * Each arm is a `cdc capture` of its own that streams already when the rows are written. Peak RSS is the kernel's, since the process began.
 */
import { Kafka, logLevel } from "kafkajs"
import { parseArgs } from "node:util"
import type pg from "pg"
import * as Capture from "./debezium/Capture.ts"
import type { Measured, Row } from "./Report.ts"
import { connect, type Servers } from "./Servers.ts"
import * as Signals from "./Signals.ts"
import * as Sink from "./Sink.ts"

/** More than `publish.maxRecordBytes` and a topic's `max.message.bytes`, which are 10 MB. */
const largeBytes = 12_000_000

export const run = async (servers: Servers, options: ReadonlyArray<string>): Promise<Measured> => {
  const { values } = parseArgs({ args: [...options], options: { rows: { type: "string", default: "1000000" }, large: { type: "string", default: "20" } } })
  const [rows, large] = [Number(values.rows), Number(values.large)]
  await using sink = await Sink.connect(servers.brokers)
  await using client = await connect(servers)
  await client.query(Signals.createTable)
  await client.query("create table public.documents (id int primary key, title text, body text)")
  return {
    title: `${rows} rows of ${Signals.table}, and ${large} rows of ${largeBytes / 1e6} MB in one transaction, through cdc capture`,
    rows: [
      await signals("in one transaction", Signals.insert(rows), rows, servers, client, sink),
      await documents(large, servers, client),
      await signals(`in transactions of ${Signals.rowsPerTransaction}`, Signals.insertInTransactions(rows), rows, servers, client, sink)
    ]
  }
}

/** The table is empty at the beginning, so that the topic has these rows alone. */
const signals = async (arm: string, insert: string, rows: number, servers: Servers, client: pg.Client, sink: Sink.Sink): Promise<Row> => {
  await client.query(`truncate ${Signals.table}`)
  return capturing(arm, Signals.table, servers, async (capture, name) => {
    const before = capture.usage()
    const [{ peakBytes }] = await Promise.all([sink.arrival(`${name}.${Signals.table}`, rows, capture.usage), client.query(insert)])
    return { arm, rows, "RSS MB before": megabytes(before.residentBytes), "peak RSS MB": megabytes(peakBytes) }
  })
}

/** Each is published without its body. */
const documents = async (rows: number, servers: Servers, client: pg.Client): Promise<Row> => {
  const arm = `of ${largeBytes / 1e6} MB in one transaction`
  return capturing(arm, "public.documents", servers, async (capture, name) => {
    const before = capture.usage()
    await client.query(`insert into public.documents select id, 'large', (select string_agg(md5(id || ' ' || n), '') from generate_series(1, ${largeBytes / 32}) n) from generate_series(1, ${rows}) id`)
    await untilSetAside(servers, `${name}.public.documents`, rows)
    return { arm, rows, "RSS MB before": megabytes(before.residentBytes), "peak RSS MB": megabytes(capture.usage().peakBytes) }
  })
}

/** Until the topic has all rows. Fails if a row came whole. */
const untilSetAside = async ({ brokers }: Servers, topic: string, rows: number): Promise<void> => {
  const consumer = new Kafka({ clientId: "bench", brokers: brokers.split(","), logLevel: logLevel.NOTHING }).consumer({ groupId: `bench-${topic}` })
  await consumer.connect()
  await consumer.subscribe({ topic, fromBeginning: true })
  try {
    await new Promise<void>((resolve, reject) => {
      let seen = 0
      void consumer.run({
        eachMessage: async ({ message: { headers, value } }) => {
          if (headers?.["__cdc.columns.too.large"]?.toString() !== "body") reject(new Error(`A row of ${value?.length} bytes came whole`))
          else if (++seen === rows) resolve()
        }
      }).catch(reject)
    })
  } finally {
    await consumer.disconnect()
  }
}

const capturing = async (arm: string, tables: string, servers: Servers, work: (capture: Capture.Capture, name: string) => Promise<Row>): Promise<Row> => {
  const name = `bench_memory_${arm.toLowerCase().replaceAll(/\W+/g, "_")}`
  const capture = await Capture.start({ ...servers, name, partitions: Sink.partitions, tables })
  try {
    await capture.snapshotted()
    const found = await work(capture, name)
    console.error(found)
    return found
  } finally {
    await capture.stop()
  }
}

const megabytes = (bytes: number): number => Math.round(bytes / 1e6)
