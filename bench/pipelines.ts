/**
 * What pipelines cost per change, Kafka left out: prepared batches of 5,000 changes → state and aggregates, one instance,
 * which applies as many partitions side by side as `cdc pipeline` does.
 *
 *   npm run bench -- pipelines [changes] [rows]
 *
 * Arms: each source with a key of its own per change, and with 1,000 keys; deletes, as an archive job makes them; and 1,000 keys
 * whose state has grown to 10³, 10⁴, … `rows` source rows. The changes are in the hub's tables, as they would be, and the WAL of inserting them is
 * what ours is compared with. CPU is the process's, and that of Postgres' backends where it runs on the same machine. PROFILE=1 tells the time of each statement.
 */
import { Effect, Layer } from "effect"
import pg from "pg"
import { catalogue } from "../pipelines/Catalogue.ts"
import { AppConfig } from "../src/Config.ts"
import { Postgres, type Sql } from "../src/connections/Postgres.ts"
import { quoteIdentifier } from "../src/domain/SqlIdentifier.ts"
import * as TopicName from "../src/domain/TopicName.ts"
import { createSchema } from "../src/embedded/hub/Hub.ts"
import { type ClaimedBatch, makeMaterializer } from "../src/materialize/Materializer.ts"
import { createSharedTables, register } from "../src/materialize/Registration.ts"
import { sideBySide } from "../src/run/PipelineLoop.ts"
import { batchOf, type ChangeSource, events, hubRows, sends, signals, topicOf } from "./PreparedChanges.ts"
import * as PostgresUsage from "./PostgresUsage.ts"

const batchSize = 5_000
const hotKeys = 1_000

/** A pipeline on an empty hub, and the rows of its source that have been made so far. */
const open = Effect.fnUntraced(function*(source: ChangeSource, keys: number) {
  const postgres = yield* Postgres
  const { pipelineSettings, source: { stateSchema } } = yield* AppConfig
  yield* postgres.query("Emptying the hub", "drop schema if exists cdc, outreach, outreach_ctx, bit, cl cascade")
  yield* createSchema()
  for (const statement of hubRows(keys)) yield* postgres.query("Filling the hub", statement)
  const pipeline = catalogue[source.pipeline]!(pipelineSettings[source.pipeline])
  const generation = yield* postgres.transaction((sql) => Effect.andThen(createSharedTables(sql, stateSchema), register(sql, stateSchema, pipeline)))
  const spent = new Map<string, number>()
  const materializer = yield* makeMaterializer({ pipeline, stateSchema, generation, topics: TopicName.ofSources("bench", pipeline.sources), setAside: () => Effect.die("a bad record") }).pipe(
    Effect.provideService(Postgres, process.env.PROFILE === undefined ? postgres : timed(postgres, spent))
  )
  const partitions = Array.from({ length: sideBySide }, (_, partition) => ({ topic: topicOf(source), partition }))
  yield* materializer.checkpoint.register(postgres, partitions)
  return { source, keys, materializer, spent, rows: 0, offsets: partitions.map(() => 0) }
})

type Opened = Effect.Success<ReturnType<typeof open>>

/** Makes rows, or deletes the first ones, and applies that; only the second is measured. */
const apply = Effect.fnUntraced(function*(opened: Opened, count: number, kind: "upsert" | "delete" = "upsert") {
  const postgres = yield* Postgres
  const first = kind === "delete" ? 0 : opened.rows
  const before = yield* PostgresUsage.read(postgres)
  if (kind === "upsert") yield* postgres.query("Making rows", opened.source.insert, [first, first + count - 1, opened.keys])
  else yield* postgres.query("Deleting rows", `delete from ${opened.source.table}`)
  const made = yield* PostgresUsage.read(postgres)
  yield* postgres.query("Analyzing", "analyze")
  if (kind === "upsert") opened.rows += count
  opened.spent.clear()
  const start = yield* PostgresUsage.read(postgres)
  const batches = prepared(opened, first, count, kind)
  const [cpu, at] = [process.cpuUsage(), performance.now()]
  yield* Effect.forEach(batches, (ofPartition) => Effect.forEach(ofPartition, (batch) => opened.materializer.apply([batch])), { concurrency: "unbounded" })
  const millis = performance.now() - at
  const { system, user } = process.cpuUsage(cpu)
  const end = yield* PostgresUsage.read(postgres)
  for (const [doing, ms] of [...opened.spent].sort(([, a], [, b]) => b - a).slice(0, 12)) console.log(`  ${String(Math.round(ms)).padStart(6)} ms  ${doing}`)
  const own = Number(made.walBytes - before.walBytes) / count
  const wal = Number(end.walBytes - start.walBytes) / count
  return {
    "changes/s": Math.round(count / millis * 1000),
    "CPU µs per change: cdc": round((user + system) / count),
    "… Postgres": round((end.cpuSeconds - start.cpuSeconds) * 1e6 / count),
    "WAL bytes per change": Math.round(wal),
    "× its own": round(wal / own)
  }
})

/** Batches of each partition, which are applied side by side. */
const prepared = ({ keys, offsets, source }: Opened, first: number, count: number, kind: "upsert" | "delete"): ReadonlyArray<ReadonlyArray<ClaimedBatch>> => {
  const batches: ReadonlyArray<Array<ClaimedBatch>> = offsets.map(() => [])
  for (let done = 0, n = 0; done < count; done += batchSize, n++) {
    const to = Math.min(done + batchSize, count)
    const partition = n % offsets.length
    batches[partition]!.push(batchOf(source, { partition, offset: offsets[partition]! }, first + done, first + to, keys, kind))
    offsets[partition]! += to - done
  }
  return batches
}

const round = (value: number): number => Math.round(value * 10) / 10

/** Milliseconds by what was being done. */
const timed = (postgres: Postgres["Service"], spent: Map<string, number>): Postgres["Service"] => {
  const timing = (doing: string, effect: Effect.Effect<unknown, unknown>) =>
    Effect.suspend(() => {
      const start = performance.now()
      return Effect.ensuring(effect, Effect.sync(() => spent.set(doing, (spent.get(doing) ?? 0) + performance.now() - start)))
    }) as never
  const on = (sql: Sql): Sql => ({
    query: (doing, statement, parameters) => timing(doing, sql.query(doing, statement, parameters)),
    copy: (doing, statement, rows) => timing(doing, sql.copy(doing, statement, rows))
  })
  return Postgres.of({ ...postgres, ...on(postgres), transaction: (work) => postgres.transaction((sql) => work(on(sql))) })
}

const arms = Effect.fnUntraced(function*(count: number, maxRows: number) {
  const rows: Array<Record<string, string | number>> = []
  const only = process.env.ARMS?.split(",")
  const isWanted = (arm: string) => only === undefined || only.some((start) => arm.startsWith(start))
  for (const [noun, source] of [["signals", signals], ["sends", sends], ["events", events]] as const) {
    for (const keys of [count, hotKeys]) {
      const arm = `${noun}, ${keys === count ? "a key each" : `${hotKeys} keys`}`
      if (!isWanted(arm)) continue
      const opened = yield* open(source, keys)
      yield* apply(opened, Math.min(count, batchSize)) // the compiler's share
      if (keys === count) yield* open(source, keys).pipe(Effect.tap((anew) => Effect.sync(() => Object.assign(opened, anew))))
      rows.push({ arm, ...yield* apply(opened, count) })
      if (noun === "signals" && keys === count) rows.push({ arm: `${noun}, a key each, deleted`, ...yield* apply(opened, count, "delete") })
    }
  }
  if (!isWanted("rows")) return rows
  const growing = yield* open(signals, hotKeys)
  for (let size = 1_000; size <= maxRows; size *= 10) {
    for (let left = size - growing.rows; left > 0; left -= 50_000) yield* apply(growing, Math.min(left, 50_000))
    rows.push({ arm: `signals, ${hotKeys} keys, on ${size.toExponential(0)} rows`, ...yield* apply(growing, Math.min(count, 20_000)) })
  }
  return rows
})

export const run = async ({ databaseUrl }: { readonly databaseUrl: string }, [changes = "40000", rows = "1000000"]: ReadonlyArray<string>) => {
  const name = `bench_pipelines_${process.pid}`
  const admin = new pg.Client({ connectionString: databaseUrl })
  await admin.connect()
  await admin.query(`create database ${quoteIdentifier(name)}`)
  try {
    const url = new URL(databaseUrl)
    url.pathname = `/${name}`
    const connections = Postgres.layer.pipe(
      Layer.provideMerge(AppConfig.layerOf({ source: { databaseUrl: url.href, poolSize: 3 }, kafka: { brokers: "nobody:1" } }))
    )
    return {
      title: `Prepared changes → aggregates, ${changes} per arm, in batches of ${batchSize}`,
      rows: await Effect.runPromise(Effect.provide(arms(Number(changes), Number(rows)), connections))
    }
  } finally {
    await admin.query(`drop database ${quoteIdentifier(name)} with (force)`)
    await admin.end()
  }
}
