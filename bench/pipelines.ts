import { Effect, Layer } from "effect"
import pg from "pg"
import { bitScores } from "../pipelines/bit-scores/BitScores.ts"
import { AppConfig } from "../src/Config.ts"
import { Postgres, type Sql } from "../src/connections/Postgres.ts"
import { quoteIdentifier } from "../src/domain/SqlIdentifier.ts"
import { createSchema } from "../src/embedded/hub/Hub.ts"
import { makeMaterializer } from "../src/materialize/Materializer.ts"
import { createSharedTables, register } from "../src/materialize/Registration.ts"
import { batchOf, Changes } from "../test/support/Changes.ts"

/**
 * How many signals a second one instance of bit-scores applies, Kafka left out: in batches of 5,000, each signal for an outreach
 * of its own (distinct) and for one of 1,000 (hot), and which statements the time goes to.
 * `DATABASE_URL=postgres://… npm run bench -- bench/pipelines.ts [batches]`; makes and drops a database of its own.
 */
const server = process.env.DATABASE_URL
if (server === undefined) throw new Error("Set DATABASE_URL to a Postgres in which a database may be created.")
const batches = Number(process.argv[2] ?? 6)
const batchSize = 5_000
const name = `bench_pipelines_${process.pid}`

const administer = async (statement: string) => {
  const client = new pg.Client({ connectionString: server })
  await client.connect()
  await client.query(statement)
  await client.end()
}

const uuid = (kind: string, n: number) => `${kind}000000-0000-4000-8000-${String(n).padStart(12, "0")}`

const prepare = Effect.fnUntraced(function*(outreaches: number) {
  const { query } = yield* Postgres
  yield* query("Emptying the hub", "drop schema if exists cdc, outreach, outreach_ctx, bit, cl cascade")
  yield* createSchema()
  yield* query("Filling the hub", `insert into cl.company_identity (company_unique_id, company_name) values ('${uuid("c0", 1)}', 'A company')`)
  yield* query(
    "Filling the hub",
    `insert into outreach.outreach (outreach_id, sovereign_id)
     select ('0a000000-0000-4000-8000-' || lpad(n::text, 12, '0'))::uuid, '${uuid("c0", 1)}' from generate_series(0, $1) n`,
    [outreaches - 1]
  )
  yield* query("Analyzing", "analyze")
})

/** Milliseconds by what was being done. */
const timed = (postgres: Postgres["Service"], spent: Map<string, number>): Postgres["Service"] => {
  const on = (sql: Sql): Sql => ({
    query: (doing, statement, parameters) =>
      Effect.suspend(() => {
        const start = performance.now()
        return Effect.ensuring(
          sql.query(doing, statement, parameters),
          Effect.sync(() => spent.set(doing, (spent.get(doing) ?? 0) + performance.now() - start))
        )
      }) as never
  })
  return Postgres.of({ ...postgres, ...on(postgres), transaction: (work) => postgres.transaction((sql) => work(on(sql))) })
}

const measure = Effect.fnUntraced(function*(title: string, outreaches: number) {
  yield* prepare(outreaches)
  const { pipelineSettings, source } = yield* AppConfig
  const postgres = yield* Postgres
  const pipeline = bitScores(pipelineSettings["bit-scores"])
  const spent = new Map<string, number>()
  const generation = yield* postgres.transaction((sql) =>
    Effect.andThen(createSharedTables(sql, source.stateSchema), register(sql, source.stateSchema, pipeline))
  )
  const materializer = yield* makeMaterializer({
    pipeline,
    stateSchema: source.stateSchema,
    generation,
    sourceOf: () => 0,
    setAside: () => Effect.void
  }).pipe(Effect.provideService(Postgres, timed(postgres, spent)))
  const changes = new Changes(1)
  const log = changes.log("outreach.bit_signals", 0)
  yield* materializer.checkpoint.register(postgres, [log])
  const at = new Date().toISOString().replace("Z", "000Z")
  for (let n = 0; n < batches * batchSize; n++) {
    changes.append("outreach.bit_signals", "c", uuid("51", n), {
      outreach_id: uuid("0a", n % outreaches),
      signal_type: "made",
      signal_impact: "2.5",
      source_spoke: "people",
      decay_period_days: 90,
      signal_timestamp: at
    })
  }
  const start = performance.now()
  for (let n = 0; n < batches; n++) yield* materializer.apply([batchOf(log, n * batchSize, (n + 1) * batchSize)])
  const millis = performance.now() - start
  const inPostgres = [...spent.values()].reduce((a, b) => a + b, 0)
  console.log(`${title}: ${Math.round(batches * batchSize / millis * 1000)} signals/s (${Math.round(millis)} ms, of which ${Math.round(inPostgres)} in statements)`)
  for (const [doing, ms] of [...spent].sort(([, a], [, b]) => b - a).slice(0, 9)) console.log(`  ${String(Math.round(ms)).padStart(6)} ms  ${doing}`)
})

await administer(`create database ${quoteIdentifier(name)}`)
try {
  const url = new URL(server)
  url.pathname = `/${name}`
  const connections = Postgres.layer.pipe(
    Layer.provideMerge(AppConfig.layerOf({ source: { databaseUrl: url.href }, kafka: { brokers: "nobody:1" } }))
  )
  await Effect.runPromise(Effect.provide(Effect.andThen(measure("distinct keys", batches * batchSize), measure("1,000 hot keys", 1_000)), connections))
} finally {
  await administer(`drop database ${quoteIdentifier(name)} with (force)`)
}
