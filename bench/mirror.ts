/**
 * A topic → a table: our mirror of engagement events beside the nearest thing that one would pick for it, Debezium's JDBC sink.
 *
 *   npm run bench -- mirror [--rows 100000]
 *
 * Each arm reads a topic that has all rows already, published by `cdc capture` (ours) or Debezium's source (the sink's, with the schemas that
 * it needs), into a table of its own on the same server. Ours is `cdc pipeline legacy-mirrors`, which gives each row its integer
 * key and keeps the two score tables by company and contact besides; the sink copies all columns by primary key, and does no more. Measured between
 * the first rows that are seen in the table and the last.
 */
import { once } from "node:events"
import { readFileSync } from "node:fs"
import { fileURLToPath } from "node:url"
import { parseArgs } from "node:util"
import type pg from "pg"
import * as Capture from "./debezium/Capture.ts"
import * as Connect from "./debezium/Connect.ts"
import * as Debezium from "./Debezium.ts"
import * as Distribution from "./debezium/Distribution.ts"
import { freePort } from "./debezium/Port.ts"
import * as Usage from "./debezium/Usage.ts"
import { cpuSecondsOf } from "./PostgresUsage.ts"
import { events, hubRows } from "./PreparedChanges.ts"
import type { Measured, Row } from "./Report.ts"
import { connect, type Servers } from "./Servers.ts"
import * as Sink from "./Sink.ts"

const companies = 1_000

export const run = async (servers: Servers, options: ReadonlyArray<string>): Promise<Measured> => {
  const { values } = parseArgs({ args: [...options], options: { rows: { type: "string", default: "100000" } } })
  const rows = Number(values.rows)
  await using sink = await Sink.connect(servers.brokers)
  await using client = await connect(servers)
  await client.query(readFileSync(new URL("../src/embedded/hub/schema.sql", import.meta.url), "utf8"))
  for (const statement of hubRows(companies)) await client.query(statement)
  await client.query(events.insert, [0, rows - 1, companies])
  await client.query("vacuum analyze")
  const work = { servers, client, sink, rows }
  const arms = [
    await ours(work),
    ...await jdbcSinks(work, { "Debezium JDBC sink, as shipped": {}, "Debezium JDBC sink, tuned": tuned })
  ]
  return { title: `${rows} engagement events of ${companies} companies, from a topic into a table`, rows: arms }
}

interface Work {
  readonly servers: Servers
  readonly client: pg.Client
  readonly sink: Sink.Sink
  readonly rows: number
}

const ours = async ({ client, rows, servers, sink }: Work): Promise<Row> => {
  const name = "bench_mirror"
  const options = { ...servers, name, partitions: Sink.partitions, tables: "outreach.engagement_events,outreach.bit_signals,outreach.bit_scores,outreach.outreach" }
  const capture = await Capture.start(options)
  await sink.arrival(`${name}.${events.table}`, rows, capture.usage)
  await capture.snapshotted()
  await capture.stop()
  console.error("ours")
  const pipeline = Capture.launch(["pipeline", "legacy-mirrors"], options, await freePort())
  const ended = once(pipeline, "exit")
  try {
    return { arm: "ours, legacy-mirrors", ...await filled(client, "bit.bit_signal", rows, () => Usage.of(pipeline.pid!)) }
  } finally {
    pipeline.kill("SIGTERM")
    await ended
  }
}

/** What its documentation names for throughput. */
const tuned = { "batch.size": "5000", "use.reduction.buffer": "true", "consumer.override.max.poll.records": "5000", "consumer.override.fetch.min.bytes": "1000000" }

const jdbcSinks = async ({ client, rows, servers, sink }: Work, settings: Readonly<Record<string, Readonly<Record<string, string>>>>): Promise<ReadonlyArray<Row>> => {
  const name = "bench_jdbc"
  await sink.create(`${name}.${events.table}`)
  await client.query(`create publication bench for table ${events.table}`)
  const source = await Debezium.start({
    ...servers, name, publication: "bench", settings: {
      ...Debezium.forThroughput, "table.include.list": events.table.replace(".", "\\."), "key.converter.schemas.enable": "true", "value.converter.schemas.enable": "true"
    }
  })
  await sink.arrival(`${name}.${events.table}`, rows, source.usage)
  await source.stop()
  const measured: Array<Row> = []
  for (const [arm, connector] of Object.entries(settings)) {
    console.error(arm)
    const table = `bit.copy_${measured.length + 1}`
    await client.query(`create table ${table} (like ${events.table} including defaults including indexes)`)
    await client.query(`alter table ${table} alter event_type type text, alter transition_to_state type text`) // it writes enums as text
    const connect = await Connect.start({
      distribution: await Distribution.prepare("jdbcSink"),
      directory: fileURLToPath(new URL("../.data/bench-jdbc-sink", import.meta.url)),
      brokers: servers.brokers,
      worker: { "connector.client.config.override.policy": "All" },
      jvm: ["-Xmx2g"],
      connector: { ...copying(servers, `${name}.${events.table}`, table), "name": `bench-jdbc-${measured.length + 1}`, ...connector }
    })
    try {
      measured.push({ arm, ...await filled(client, table, rows, connect.usage) })
    } finally {
      await connect.stop()
    }
  }
  return measured
}

/** An upsert by primary key, deletes as deletes. */
const copying = ({ databaseUrl }: Servers, topic: string, table: string): Record<string, string> => {
  const url = new URL(databaseUrl)
  return {
    "connector.class": "io.debezium.connector.jdbc.JdbcSinkConnector",
    "tasks.max": "1",
    "topics": topic,
    "connection.url": `jdbc:postgresql://${url.host}${url.pathname}`,
    "connection.username": decodeURIComponent(url.username),
    "connection.password": decodeURIComponent(url.password),
    "insert.mode": "upsert",
    "primary.key.mode": "record_key",
    "delete.enabled": "true",
    "schema.evolution": "none",
    "collection.name.format": table
  }
}

interface Look {
  readonly at: number
  readonly rows: number
  readonly usage: Usage.Usage
  readonly postgresSeconds: number
}

/** Between the first look that finds rows and the first that finds all. Fails if nothing more comes. */
const filled = async (client: pg.Client, table: string, rows: number, usage: () => Usage.Usage): Promise<Row> => {
  let first: Look | undefined
  let last = await look(client, table, usage)
  while (last.rows < rows) {
    await new Promise((resolve) => setTimeout(resolve, lookEveryMillis))
    const now = await look(client, table, usage)
    if (first === undefined && now.rows > 0) first = now
    if (now.rows > last.rows) last = now
    if (now.at - last.at > lostMillis) throw new Error(`${table} has ${last.rows} of ${rows} rows, and no more came in ${lostMillis / 1_000} s`)
  }
  const counted = last.rows - first!.rows
  const micros = (seconds: number) => Math.round(seconds * 1e7 / counted) / 10
  return {
    "rows/s": Math.round(counted * 1_000 / (last.at - first!.at)),
    "CPU µs/row: process": micros(last.usage.cpuSeconds - first!.usage.cpuSeconds),
    "… Postgres": micros(last.postgresSeconds - first!.postgresSeconds),
    "peak RSS MB": Math.round(last.usage.peakBytes / 1e6)
  }
}

/** Counting is what a look costs the server: a fraction of what it writes meanwhile. */
const lookEveryMillis = 200
const lostMillis = 90_000

const look = async (client: pg.Client, table: string, usage: () => Usage.Usage): Promise<Look> => {
  const { rows: [found] } = await client.query<{ rows: string; pids: ReadonlyArray<number> }>(
    `select (select count(*) from ${table}) as rows,
       (select array_agg(pid) from pg_stat_activity where datname = current_database() and backend_type = 'client backend' and pid <> pg_backend_pid()) as pids`
  )
  const postgresSeconds = (found!.pids ?? []).reduce((sum, pid) => sum + cpuSecondsOf(pid), 0)
  return { at: performance.now(), rows: Number(found!.rows), usage: usage(), postgresSeconds }
}
