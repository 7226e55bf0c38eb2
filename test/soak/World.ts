import { Effect } from "effect"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import pg from "pg"
import * as EmbeddedKafka from "../../src/embedded/EmbeddedKafka.ts"
import * as EmbeddedPostgres from "../../src/embedded/EmbeddedPostgres.ts"
import * as KafkaDistribution from "../../src/embedded/KafkaDistribution.ts"
import { freePort } from "../support/CdcProcess.ts"
import * as Proxy from "../support/Proxy.ts"
import * as Instance from "./Instance.ts"
import { launch, type Server } from "./Server.ts"

/** All that can be hurt: servers of its own, the network before each, and two instances of the whole product, of which one stands by. */
export interface World {
  readonly postgres: Server & { readonly network: Proxy.Proxy }
  readonly kafka: Server & { readonly network: Proxy.Proxy }
  readonly instances: ReadonlyArray<Instance.Instance>
  /** Past the broken network, for who watches. */
  readonly databaseUrl: string
  readonly brokers: string
  readonly environment: Readonly<Record<string, string>>
  /** A statement on a connection of its own. */
  readonly query: <Row extends object>(statement: string, parameters?: ReadonlyArray<unknown>) => Promise<ReadonlyArray<Row>>
  readonly close: () => Promise<void>
}

/** Short, so that a soak of a minute sees take-overs. */
const walSenderTimeoutSeconds = 3

export const make = async (): Promise<World> => {
  const directory = mkdtempSync(join(tmpdir(), "cdc-soak-"))
  const data = fileURLToPath(new URL("../../.data/", import.meta.url))
  const [postgres, kafka] = await Promise.all([makePostgres(join(directory, "postgres")), makeKafka(join(directory, "kafka"), data)])
  const environment = {
    DATABASE_URL: through(postgres.databaseUrl, postgres.network.port),
    KAFKA_BROKERS: `127.0.0.1:${kafka.network.port}`,
    CDC_SOURCE_WAL_SENDER_TIMEOUT_SECONDS: String(walSenderTimeoutSeconds),
    CDC_SOURCE_STATUS_INTERVAL_SECONDS: "1",
    CDC_LOG_FORMAT: "json"
  }
  const instances = [await Instance.make("A", environment), await Instance.make("B", environment)]
  return {
    postgres,
    kafka,
    instances,
    databaseUrl: postgres.databaseUrl,
    brokers: kafka.brokers,
    environment,
    query: (statement, parameters) => queryOnce(postgres.databaseUrl, statement, parameters),
    close: async () => {
      await Promise.all(instances.map((instance) => instance.kill()))
      postgres.thaw()
      kafka.thaw()
      await Promise.all([postgres.stop(), kafka.stop()])
      await Promise.all([postgres.network.close(), kafka.network.close()])
      rmSync(directory, { recursive: true, force: true })
    }
  }
}

const makePostgres = async (directory: string) => {
  const port = await freePort()
  let databaseUrl = ""
  // fsync=off survives a kill of the process, if not of the machine; commits are what the slot is sent, so they stay synchronous.
  const run = EmbeddedPostgres.start({ directory, port, database: "hub", settings: { fsync: "off", max_slot_wal_keep_size: "4GB" } })
  const server = await launch("Postgres", directory, Effect.tap(run, (started) => Effect.sync(() => databaseUrl = started.databaseUrl)))
  return { ...server, databaseUrl, network: await Proxy.start({ host: "127.0.0.1", port }) }
}

/** Clients come through the proxy, which the broker names them; the broker talks to itself directly. */
const makeKafka = async (directory: string, data: string) => {
  const distribution = await Effect.runPromise(KafkaDistribution.prepare(data))
  const [port, proxied] = [await freePort(), await freePort()]
  const network = await Proxy.start({ host: "127.0.0.1", port: proxied })
  const run = EmbeddedKafka.start({
    directory,
    port,
    distribution,
    settings: {
      "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,PROXIED:PLAINTEXT,CONTROLLER:PLAINTEXT",
      "inter.broker.listener.name": "PLAINTEXT",
      "advertised.listeners": `PLAINTEXT://127.0.0.1:${port},PROXIED://127.0.0.1:${network.port}`
    },
    listeners: { PROXIED: proxied }
  })
  return { ...await launch("Kafka", directory, run), brokers: `127.0.0.1:${port}`, network }
}

const through = (url: string, port: number): string => {
  const proxied = new URL(url)
  proxied.port = String(port)
  return proxied.href
}

const queryOnce = async <Row extends object>(databaseUrl: string, statement: string, parameters: ReadonlyArray<unknown> = []): Promise<ReadonlyArray<Row>> => {
  const client = new pg.Client({ connectionString: databaseUrl, connectionTimeoutMillis: 5_000 })
  client.on("error", () => {}) // told by the query under way
  await client.connect()
  try {
    return (await client.query<Row & pg.QueryResultRow>(statement, [...parameters])).rows
  } finally {
    await client.end().catch(() => {})
  }
}
