/**
 * Ours beside Debezium: one database, the same writes, compared event by event.
 *
 *   DATABASE_URL=postgres://… KAFKA_BROKERS=host:port npm run bench -- bench/debezium/compare.ts [--seed S] [--transactions N]
 *
 * Needs a role that may create databases and extensions and replicate, Java 17, and Maven at first use. Makes a database,
 * two slots and two sets of topics of its own, and removes them. Exits with 1 if it finds a difference that no rule explains.
 * docs/debezium-comparison.md says more.
 */
import { randomBytes } from "node:crypto"
import { fileURLToPath } from "node:url"
import { parseArgs } from "node:util"
import pg from "pg"
import * as TableName from "../../src/domain/TableName.ts"
import * as TopicName from "../../src/domain/TopicName.ts"
import * as Capture from "./Capture.ts"
import * as Comparison from "./Comparison.ts"
import * as Connect from "./Connect.ts"
import { reference } from "./Connector.ts"
import * as Database from "./Database.ts"
import * as Distribution from "./Distribution.ts"
import * as Event from "./Event.ts"
import * as Report from "./Report.ts"
import * as Topics from "./Topics.ts"
import * as Workload from "./Workload.ts"

const { values } = parseArgs({ options: { seed: { type: "string", default: "1" }, transactions: { type: "string", default: "1000" } } })
const seed = Number(values.seed)
const transactions = Number(values.transactions)
const partitions = 6
const fence = TableName.TableName("public", "fence")
/** Debezium's log and settings, of the last run. */
const directory = fileURLToPath(new URL("../../.data/debezium-compared", import.meta.url))

/** What both captures run on; `theirs` and `ours` are their topic prefixes, slots and publications. */
interface Ground {
  readonly database: pg.Client
  readonly databaseUrl: string
  readonly brokers: string
  readonly topics: Topics.Topics
  readonly tables: ReadonlyArray<Database.Table>
  readonly theirs: string
  readonly ours: string
}

/** A database with rows in it, and Debezium's topics; `undo` is given what has to be removed in the end. */
const prepare = async (server: string, brokers: string, undo: AsyncDisposableStack): Promise<Ground> => {
  const name = `compare_${randomBytes(4).toString("hex")}`
  const [theirs, ours] = [`${name}_debezium`, `${name}_cdc`]
  const topics = await Topics.connect(brokers)
  undo.defer(topics.close)
  undo.defer(() => topics.remove([theirs, ours]))
  const admin = new pg.Client({ connectionString: server })
  await admin.connect()
  undo.defer(() => admin.end())
  await admin.query(`create database ${name}`)
  undo.defer(async () => {
    await admin.query("select pg_drop_replication_slot(slot_name) from pg_replication_slots where database = $1", [name])
    await admin.query(`drop database ${name} with (force)`)
  })
  const databaseUrl = Object.assign(new URL(server), { pathname: `/${name}` }).href
  const database = new pg.Client({ connectionString: databaseUrl })
  await database.connect()
  undo.defer(() => database.end())
  await Database.populate(database, databaseUrl, seed)
  const tables = await Database.tablesOf(database)
  await topics.create([
    // Kafka's Java client spreads records without a key over the partitions; ours are all in the first.
    ...tables.map((table) => ({ topic: TopicName.ofTable(theirs, table.name), numPartitions: table.key.length === 0 ? 1 : partitions })),
    { topic: `${theirs}.transaction`, numPartitions: 1 }
  ])
  return { database, databaseUrl, brokers, topics, tables, theirs, ours }
}

/** Both snapshots, then the same writes through both, to the end; both are stopped when it comes back. */
const captureBoth = async (ground: Ground, undo: AsyncDisposableStack): Promise<Workload.Done> => {
  const { brokers, database, databaseUrl, ours, tables, theirs, topics } = ground
  const names = tables.map(({ name }) => name)
  const distribution = await Distribution.prepare()
  const connector = reference({ databaseUrl, topicPrefix: theirs, slot: theirs, tables: names })
  const debezium = await Connect.start({ distribution, directory, brokers, connector })
  undo.defer(debezium.stop)
  const cdc = await Capture.start({ databaseUrl, brokers, name: ours, partitions, tables: names.map(TableName.format).join(", ") })
  undo.defer(cdc.stop)
  await Promise.all([
    debezium.logged(/Snapshot ended with SnapshotResult \[status=COMPLETED/).then(() => say("Debezium's snapshot is complete")),
    cdc.snapshotted().then(() => say("our snapshot is complete"))
  ])

  const done = await Workload.run({ database, databaseUrl, tables, seed, transactions })
  say(`written: ${[...done.counts].sort().map(([kind, times]) => `${times} ${kind}`).join(", ")}`)
  await database.query("insert into fence values (1)")
  await topics.holding([theirs, ours].map((prefix) => TopicName.ofTable(prefix, fence)), `{"id":1}`)
  for (const [who, { usage }] of [["Debezium", debezium], ["ours", cdc]] as const) {
    const { cpuSeconds, peakBytes } = usage()
    say(`${who}: ${cpuSeconds.toFixed(1)} s of CPU since its start, at most ${Math.round(peakBytes / 1e6)} MB`)
  }
  await Promise.all([debezium.stop(), cdc.stop()]) // what they sent is acknowledged then
  return done
}

const compareTopics = async ({ database, ours, theirs, topics }: Ground, { truncates }: Workload.Done): Promise<ReadonlyArray<Report.TopicComparison>> => {
  const tables = await Database.tablesOf(database) // one was altered
  const stored = await topics.read([theirs, ours].flatMap((prefix) => tables.map(({ name }) => TopicName.ofTable(prefix, name))))
  const eventsOf = (prefix: string) => tables.map(({ name }) => stored.get(TopicName.ofTable(prefix, name))!.map((partition) => partition.map(Event.read)))
  const [left, right] = [eventsOf(theirs), eventsOf(ours)]
  const ofAll = Comparison.truncateOrdinals(right.flat(2))
  return tables.flatMap((table, n) => {
    const topic = TableName.format(table.name)
    const ordinals = { ofAll, ofTable: Comparison.truncateOrdinals(right[n]!.flat()) }
    const writes = { table, truncates: truncates.get(topic) ?? 0, ordinals }
    return right[n]!.map((events, partition) => ({ topic, partition, ...Comparison.comparePartition(writes, left[n]![partition] ?? [], events) }))
  })
}

const say = (what: string) => console.error(`${(performance.now() / 1000).toFixed(1).padStart(6)} s  ${what}`)

const main = async (server: string, brokers: string): Promise<void> => {
  const undo = new AsyncDisposableStack()
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => void undo.disposeAsync().finally(() => process.exit(1)))
  try {
    const ground = await prepare(server, brokers, undo)
    say(`${ground.tables.length} tables filled with seed ${seed}; Debezium ${Distribution.debeziumVersion} in Kafka Connect ${Distribution.kafkaVersion}`)
    const done = await captureBoth(ground, undo)
    process.exitCode = Report.print(await compareTopics(ground, done)) === 0 ? 0 : 1
  } finally {
    await undo.disposeAsync()
  }
}

const { DATABASE_URL: server, KAFKA_BROKERS: brokers } = process.env
if (server === undefined || brokers === undefined) throw new Error("Set DATABASE_URL and KAFKA_BROKERS.")
await main(server, brokers)
