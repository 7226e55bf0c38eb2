/**
 * How fast existing rows come into a topic.
 *
 *   npm run bench -- snapshot [--rows 1000000] [--rounds 1]
 */
import { parseArgs } from "node:util"
import * as Capture from "./debezium/Capture.ts"
import * as Debezium from "./Debezium.ts"
import type { Measured } from "./Report.ts"
import { connect, type Servers } from "./Servers.ts"
import * as Signals from "./Signals.ts"
import * as Sink from "./Sink.ts"

export const run = async (servers: Servers, options: ReadonlyArray<string>): Promise<Measured> => {
  const { values } = parseArgs({ args: [...options], options: { rows: { type: "string", default: "1000000" }, rounds: { type: "string", default: "1" } } })
  const rows = Number(values.rows)
  await using client = await connect(servers)
  await client.query(Signals.createTable)
  await client.query("create publication bench for table outreach.bit_signals")
  await client.query(Signals.insertInTransactions(rows))
  await client.query("vacuum analyze outreach.bit_signals")
  await using sink = await Sink.connect(servers.brokers)
  const arms = [["ours", ours], ["Debezium, lz4", debezium], ["ours again", ours]] as const
  const found: Array<Sink.Arrival & { readonly arm: string; readonly round: number }> = []
  for (let round = 1; round <= Number(values.rounds); round++) {
    for (const [arm, measure] of round % 2 === 1 ? arms : arms.toReversed()) {
      console.error(`round ${round} of ${values.rounds}: ${arm}`)
      found.push({ arm, round, ...await measure({ servers, sink, rows, name: `bench_${arm.replaceAll(/\W+/g, "_").toLowerCase()}_${round}` }) })
    }
  }
  return {
    title: `${rows} existing rows of ${Signals.table} into a topic`,
    rows: arms.flatMap(([name]) => found.filter(({ arm }) => arm === name)).map(Sink.asRow)
  }
}

interface Run {
  readonly servers: Servers
  readonly sink: Sink.Sink
  readonly rows: number
  /** Of topics and slot. */
  readonly name: string
}

const ours = async ({ name, rows, servers, sink }: Run): Promise<Sink.Arrival> => {
  const capture = await Capture.start({ ...servers, name, partitions: Sink.partitions, tables: Signals.table })
  try {
    return await sink.arrival(`${name}.${Signals.table}`, rows, capture.usage)
  } finally {
    await capture.stop()
  }
}

const debezium = async ({ name, rows, servers, sink }: Run): Promise<Sink.Arrival> => {
  await sink.create(`${name}.${Signals.table}`)
  const connect = await Debezium.start({ ...servers, name, publication: "bench", settings: Debezium.forThroughput })
  try {
    return await sink.arrival(`${name}.${Signals.table}`, rows, connect.usage)
  } finally {
    await connect.stop()
  }
}
