/**
 * How fast a backlog drains: prepared inserts in the WAL → decoded → envelopes → acknowledged by Kafka, per compression.
 *
 *   DATABASE_URL=postgres://… KAFKA_BROKERS=host:port npm run bench -- bench/drain.ts [rows] [compression,…]
 *
 * Each compression has a process of its own, with this one's options for V8, and a database and a topic prefix of its own,
 * removed at the end. CPU is the process's, of all its threads; RSS its highest.
 */
import { Deferred, Effect, Fiber, Layer } from "effect"
import { execFileSync } from "node:child_process"
import { randomBytes } from "node:crypto"
import pg from "pg"
import { AppConfig } from "../src/Config.ts"
import { Kafka } from "../src/connections/Kafka.ts"
import { Postgres } from "../src/connections/Postgres.ts"
import * as TopicWriter from "../src/publish/TopicWriter.ts"
import * as CaptureLoop from "../src/run/CaptureLoop.ts"
import { Outbox } from "../src/run/Outbox.ts"
import * as Setup from "../src/run/Setup.ts"
import * as Teardown from "../src/run/Teardown.ts"

const rows = Number(process.argv[2] ?? 200_000)
const rowsPerTransaction = 10_000
const server = process.env.DATABASE_URL
const brokers = process.env.KAFKA_BROKERS
if (server === undefined || brokers === undefined) throw new Error("Set DATABASE_URL and KAFKA_BROKERS.")

const table = `create schema outreach; create table outreach.bit_signals (
  signal_id uuid primary key default gen_random_uuid(), outreach_id uuid not null, signal_type text not null, signal_impact numeric(6, 2) not null,
  source_spoke text not null, correlation_id uuid, process_id uuid, signal_metadata jsonb, decay_period_days int, decayed_impact numeric(6, 2),
  signal_timestamp timestamptz not null default now(), processed_at timestamptz, created_at timestamptz not null default now())`

const insert = `do $$ begin for batch in 1..${Math.ceil(rows / rowsPerTransaction)} loop
  insert into outreach.bit_signals (outreach_id, signal_type, signal_impact, source_spoke, correlation_id, signal_metadata, decay_period_days)
  select gen_random_uuid(), 'email_open', 12.5, 'people', gen_random_uuid(), '{"campaign": "spring", "step": 3}', 30 from generate_series(1, ${rowsPerTransaction});
  commit; end loop; end $$`

const measure = async (compression: string) => {
  const name = `bench_drain_${randomBytes(4).toString("hex")}`
  const admin = new pg.Client({ connectionString: server })
  await admin.connect()
  await admin.query(`create database ${name}`)
  const url = new URL(server)
  url.pathname = `/${name}`
  const hub = new pg.Client({ connectionString: url.href })
  await hub.connect()
  await hub.query(table)
  const services = Layer.mergeAll(Postgres.layer, Kafka.layer).pipe(Layer.provideMerge(AppConfig.layerOf({
    source: { databaseUrl: url.href, slot: name, publication: name, tables: "outreach.bit_signals" },
    kafka: { brokers, topicPrefix: name },
    publish: { compression },
    log: { level: "error" }
  })))
  const result = await Effect.runPromise(Effect.gen(function*() {
    yield* Setup.setup
    yield* untilWritten(1, () => hub.query("insert into outreach.bit_signals (outreach_id, signal_type, signal_impact, source_spoke) values (gen_random_uuid(), 'x', 1, 'y')"))
    yield* Effect.promise(() => hub.query(insert))
    const cpu = process.cpuUsage()
    const started = performance.now()
    yield* untilWritten(rows, async () => {})
    const seconds = (performance.now() - started) / 1_000
    const { system, user } = process.cpuUsage(cpu)
    const rss = process.resourceUsage().maxRSS * 1024
    yield* Teardown.teardownWith({ topics: true })
    return {
      compression,
      "rows/s": Math.round(rows / seconds),
      "CPU µs/row": Number(((user + system) / rows).toFixed(1)),
      "RSS MB": Math.round(rss / 1e6)
    }
  }).pipe(Effect.provide(services), Effect.scoped))
  await hub.end()
  await admin.query(`drop database ${name} with (force)`)
  await admin.end()
  return result
}

/** Runs capture until so many records more are acknowledged. */
const untilWritten = (count: number, act: () => Promise<unknown>) =>
  Effect.gen(function*() {
    let left = count
    const done = yield* Deferred.make<void>()
    const counting = (options: TopicWriter.WriterOptions) =>
      Effect.map(TopicWriter.make(options), (writer): TopicWriter.TopicWriter => ({
        write: (records) => Effect.tap(writer.write(records), () => (left -= records.length) <= 0 ? Deferred.succeed(done, undefined) : Effect.void)
      }))
    const loop = yield* Effect.forkChild(CaptureLoop.run.pipe(Effect.provideService(Outbox, { open: counting })))
    yield* Effect.promise(act)
    yield* Effect.raceFirst(Deferred.await(done), Fiber.join(loop))
    yield* Fiber.interrupt(loop)
  })

/** Its last line; what is logged comes before. */
const resultOf = (output: string): unknown => JSON.parse(output.trimEnd().split("\n").at(-1)!)

const [, script, , compressions = "none,gzip,lz4,zstd", isChild] = process.argv
if (isChild === "child") {
  console.log(JSON.stringify(await measure(compressions)))
} else {
  const results = compressions.split(",").map((compression) =>
    resultOf(execFileSync(process.execPath, [...process.execArgv, script!, String(rows), compression, "child"], { encoding: "utf8" }))
  )
  console.log(`${rows} inserts of outreach.bit_signals, ${rowsPerTransaction} per transaction`)
  console.table(results)
}
