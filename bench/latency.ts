/**
 * How long a change takes, from its commit to its topic and to the aggregate, while rows come at a steady rate.
 *
 *   npm run bench -- latency [--rates 100,1000,2000,5000] [--seconds 10]
 *
 * One arm at a time, on the same servers, each warmed up first. Commit times are Postgres' own (`source.ts_us`), a record's arrival is
 * the clock of this process, of the same machine. Up to 500 transactions a second; above that each has several rows.
 */
import { randomUUID } from "node:crypto"
import { parseArgs } from "node:util"
import * as AggregateDelay from "./AggregateDelay.ts"
import * as Capture from "./debezium/Capture.ts"
import * as Debezium from "./Debezium.ts"
import * as Delays from "./Delays.ts"
import { insertAtRate } from "./Load.ts"
import type { Measured, Row } from "./Report.ts"
import { connect, type Servers } from "./Servers.ts"
import * as Signals from "./Signals.ts"
import * as Sink from "./Sink.ts"

interface Work {
  readonly rates: ReadonlyArray<number>
  readonly seconds: number
}

export const run = async (servers: Servers, options: ReadonlyArray<string>): Promise<Measured> => {
  const { values } = parseArgs({ args: [...options], options: { rates: { type: "string", default: "100,1000,2000,5000" }, seconds: { type: "string", default: "10" } } })
  const work = { rates: values.rates.split(",").map(Number), seconds: Number(values.seconds) }
  await using client = await connect(servers)
  await client.query(Signals.createTable)
  await client.query("create publication bench for table outreach.bit_signals")
  const rows = [
    ...await ours("ours, capture alone", "bench_ours", servers, work),
    ...await debezium("Debezium as shipped", "bench_shipped", { "provide.transaction.metadata": "false" }, servers, work),
    ...await debezium("Debezium tuned", "bench_tuned", Debezium.forLatency, servers, work),
    ...await ours("ours again", "bench_again", servers, work),
    ...await AggregateDelay.measure(servers, { ...work, warmUp })
  ]
  return { title: `Delays from the commit on, ${work.seconds} s at each rate`, rows }
}

const ours = async (arm: string, name: string, servers: Servers, work: Work): Promise<ReadonlyArray<Row>> => {
  const capture = await Capture.start({ ...servers, name, partitions: Sink.partitions, tables: Signals.table })
  try {
    await capture.snapshotted()
    return await toTopic(arm, name, servers, work)
  } finally {
    await capture.stop()
  }
}

const debezium = async (arm: string, name: string, settings: Readonly<Record<string, string>>, servers: Servers, work: Work) => {
  await using sink = await Sink.connect(servers.brokers)
  await sink.create(`${name}.${Signals.table}`)
  const connect = await Debezium.start({ ...servers, name, publication: "bench", settings: { ...settings, "snapshot.mode": "no_data" } })
  try {
    await connect.logged(/Processing messages/)
    return await toTopic(arm, name, servers, work)
  } finally {
    await connect.stop()
  }
}

const warmUp = { rowsPerSecond: 1_000, seconds: 5 }

const toTopic = async (arm: string, name: string, servers: Servers, { rates, seconds }: Work): Promise<ReadonlyArray<Row>> => {
  let millis: Array<number> = []
  await using watch = await Delays.watch(servers.brokers, [`${name}.${Signals.table}`], (_, { source }, now) => millis.push((now - source.ts_us) / 1000))
  const outreaches = Array.from({ length: 2_000 }, () => randomUUID())
  const at = async (rowsPerSecond: number, seconds: number): Promise<Row> => {
    millis = []
    const achieved = await insertAtRate(servers, { rowsPerSecond, seconds, outreaches, statement: Signals.insertFor })
    await watch.until(() => millis.length >= rowsPerSecond * seconds)
    return { arm, to: "topic", "rows/s": achieved, ...Delays.summary(millis) }
  }
  console.error(arm)
  await at(warmUp.rowsPerSecond, warmUp.seconds)
  const rows: Array<Row> = []
  for (const rate of rates) rows.push(await at(rate, seconds))
  return rows
}
