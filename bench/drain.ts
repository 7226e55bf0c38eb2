/**
 * How fast a backlog drains: prepared inserts in the WAL → a topic.
 *
 *   npm run bench -- drain [--rows 600000] [--rounds 2]
 *
 * Every arm reads the same WAL from the same place, each in its turn, every second round backwards. `pg_recvlogical` throws away what it
 * gets: the limit of what the server sends. Ours runs twice in a row with the same settings: what differs there is noise.
 */
import { parseArgs } from "node:util"
import type pg from "pg"
import * as Capture from "./debezium/Capture.ts"
import * as Debezium from "./Debezium.ts"
import * as ReceiveOnly from "./ReceiveOnly.ts"
import type { Measured } from "./Report.ts"
import { connect, type Servers } from "./Servers.ts"
import * as Signals from "./Signals.ts"
import * as Sink from "./Sink.ts"

interface Arm {
  readonly name: string
  /** `round` from 1. */
  readonly measure: (round: number) => Promise<Sink.Arrival>
}

/** A slot nobody reads: its copies all begin where it was made. */
const baseSlot = "bench_base"
const publication = "bench"

export const run = async (servers: Servers, options: ReadonlyArray<string>): Promise<Measured> => {
  const { values } = parseArgs({ args: [...options], options: { rows: { type: "string", default: "600000" }, rounds: { type: "string", default: "2" } } })
  const [rows, rounds] = [Number(values.rows), Number(values.rounds)]
  await using sink = await Sink.connect(servers.brokers)
  await using client = await connect(servers)
  await client.query(Signals.createTable)
  await client.query(`create publication ${publication} for table ${Signals.table}`)
  const arms: ReadonlyArray<Arm> = [
    receiveOnly(servers, client, rows),
    debezium(servers, client, sink, rows),
    await ours("ours", {}, servers, sink, rows, rounds),
    await ours("ours again", {}, servers, sink, rows, rounds),
    await ours("ours, lz4", { CDC_PUBLISH_COMPRESSION: "lz4" }, servers, sink, rows, rounds)
  ]
  await client.query("select pg_create_logical_replication_slot($1, 'pgoutput')", [baseSlot])
  await client.query(Signals.insertInTransactions(rows))
  const found: Array<Sink.Arrival & { readonly arm: string; readonly round: number }> = []
  for (let round = 1; round <= rounds; round++) {
    for (const { measure, name } of round % 2 === 1 ? arms : arms.toReversed()) {
      console.error(`round ${round} of ${rounds}: ${name}`)
      found.push({ arm: name, round, ...await measure(round) })
    }
  }
  return {
    title: `${rows} inserts of ${Signals.table}, ${Signals.rowsPerTransaction} per transaction, from the WAL to a topic`,
    rows: arms.flatMap(({ name }) => found.filter(({ arm }) => arm === name)).map(Sink.asRow)
  }
}

/** Runs with a copy of the base slot, and drops it. */
const withCopy = async <A>(client: pg.Client, slot: string, work: () => Promise<A>): Promise<A> => {
  await client.query("select pg_copy_logical_replication_slot($1, $2)", [baseSlot, slot])
  try {
    return await work()
  } finally {
    await client.query("select pg_drop_replication_slot($1)", [slot])
  }
}

const receiveOnly = (servers: Servers, client: pg.Client, rows: number): Arm => ({
  name: "pg_recvlogical",
  measure: (round) => withCopy(client, `bench_limit_${round}`, () => ReceiveOnly.measure({ ...servers, publication, slot: `bench_limit_${round}`, rows }))
})

const debezium = (servers: Servers, client: pg.Client, sink: Sink.Sink, rows: number): Arm => ({
  name: "Debezium, lz4",
  measure: async (round) => {
    const name = `bench_debezium_${round}`
    const topic = `${name}.${Signals.table}`
    await sink.create(topic)
    return withCopy(client, name, async () => {
      const connect = await Debezium.start({ ...servers, name, publication, settings: { ...Debezium.forThroughput, "snapshot.mode": "no_data" } })
      try {
        return await sink.arrival(topic, rows, connect.usage)
      } finally {
        await connect.stop()
      }
    })
  }
})

/** Ours remembers its own slot, so each round has one; it was made, and the empty table snapshotted, before the first insert. */
const ours = async (arm: string, environment: Readonly<Record<string, string>>, servers: Servers, sink: Sink.Sink, rows: number, rounds: number): Promise<Arm> => {
  const start = (round: number) => {
    const name = `bench_${arm.replaceAll(/\W+/g, "_")}_${round}`
    return Capture.start({ ...servers, name, partitions: Sink.partitions, tables: Signals.table, environment }).then((capture) => ({ capture, name }))
  }
  for (let round = 1; round <= rounds; round++) {
    const { capture } = await start(round)
    await capture.snapshotted()
    await capture.stop()
  }
  return {
    name: arm,
    measure: async (round) => {
      const { capture, name } = await start(round)
      try {
        return await sink.arrival(`${name}.${Signals.table}`, rows, capture.usage)
      } finally {
        await capture.stop()
      }
    }
  }
}
