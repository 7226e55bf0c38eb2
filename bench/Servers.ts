import { Effect, Exit, Scope } from "effect"
import { rmSync } from "node:fs"
import { fileURLToPath } from "node:url"
import pg from "pg"
import * as EmbeddedKafka from "../src/embedded/EmbeddedKafka.ts"
import * as EmbeddedPostgres from "../src/embedded/EmbeddedPostgres.ts"
import * as KafkaDistribution from "../src/embedded/KafkaDistribution.ts"

/** The Postgres and the Kafka of one run. */
export interface Servers extends AsyncDisposable {
  readonly databaseUrl: string
  readonly brokers: string
}

const data = fileURLToPath(new URL("../.data/", import.meta.url))

/** Fresh ones of our own, stopped at the end; or what the environment names. */
export const start = async (): Promise<Servers> => {
  const { DATABASE_URL: databaseUrl = "", KAFKA_BROKERS: brokers = "" } = process.env
  if (databaseUrl !== "" && brokers !== "") return { databaseUrl, brokers, [Symbol.asyncDispose]: async () => {} }
  const directory = `${data}bench`
  rmSync(directory, { recursive: true, force: true })
  const scope = Effect.runSync(Scope.make())
  const stop = () => Effect.runPromise(Scope.close(scope, Exit.void))
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => void stop().finally(() => process.exit(1)))
  const [postgres, kafka] = await Effect.runPromise(Scope.provide(
    Effect.all([
      EmbeddedPostgres.start({ directory: `${directory}/postgres`, database: "bench", settings: postgresSettings }),
      Effect.flatMap(KafkaDistribution.prepare(data), (distribution) => EmbeddedKafka.start({ directory: `${directory}/kafka`, distribution }))
    ], { concurrency: 2 }),
    scope
  ))
  return { ...postgres, ...kafka, [Symbol.asyncDispose]: stop }
}

/** Of the server, not of what reads it: nothing is to wait for the disk, and no checkpoint to fall into a run. */
const postgresSettings = { fsync: "off", max_wal_size: "16GB", checkpoint_timeout: "1h", autovacuum: "off" }

/** A session of its own in the benches' database. */
export const connect = async ({ databaseUrl }: Pick<Servers, "databaseUrl">): Promise<pg.Client & AsyncDisposable> => {
  const client = new pg.Client({ connectionString: databaseUrl })
  client.on("error", () => {}) // whoever waits for an answer is told
  await client.connect()
  return Object.assign(client, { [Symbol.asyncDispose]: () => client.end() })
}
