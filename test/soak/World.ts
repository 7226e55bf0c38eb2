import { Effect } from "effect"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import kafkajs from "kafkajs"
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
  /** Rows that an archive of the hub changes in one transaction. */
  readonly burstRows: number
  /** How many bursts were archived so far, and how many of them had to begin again because of a score that was inserted meanwhile. */
  readonly archives: { done: number; metScore: number }
  /** The program of the instances, for what else is to go by their clock. */
  readonly program: string
  /** Sets the clock that rows are evaluated by so many days beside the real one. */
  readonly setClock: (days: number) => Promise<void>
  /** Writes records as another program would; they carry the header `foreign`. */
  readonly produceForeign: (topic: string, records: ReadonlyArray<{ readonly key: string; readonly value: string }>) => Promise<void>
  /** Statements in one transaction, each with these parameters. */
  readonly queryTogether: (statements: ReadonlyArray<string>, parameters: ReadonlyArray<unknown>) => Promise<void>
  /** A statement on a connection of its own. */
  readonly query: <Row extends object>(statement: string, parameters?: ReadonlyArray<unknown>) => Promise<ReadonlyArray<Row>>
  readonly close: () => Promise<void>
}

/** Short, so that a soak of a minute sees take-overs. */
const walSenderTimeoutSeconds = 3

/** The header of a record that is not capture's. */
export const foreign = "foreign"

export const program = fileURLToPath(new URL("cdc.ts", import.meta.url))

export const make = async (burstRows: number): Promise<World> => {
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
  const instances = [await Instance.make("A", environment, program), await Instance.make("B", environment, program)]
  const query: World["query"] = (statement, parameters) => queryOnce(postgres.databaseUrl, statement, parameters)
  await query("create schema soak")
  await query("create table soak.clock as select interval '0' as ahead")
  const producer = new kafkajs.Kafka({ clientId: "soak", brokers: [kafka.brokers], logLevel: kafkajs.logLevel.NOTHING }).producer()
  return {
    postgres,
    kafka,
    instances,
    databaseUrl: postgres.databaseUrl,
    brokers: kafka.brokers,
    environment,
    burstRows,
    archives: { done: 0, metScore: 0 },
    program,
    setClock: async (days) => void await query("update soak.clock set ahead = $1 * interval '1 day'", [days]),
    produceForeign: async (topic, records) => {
      await producer.connect() // anew: the broker may have been killed since
      await producer.send({ topic, messages: records.map((record) => ({ ...record, headers: { [foreign]: "1" } })) })
      await producer.disconnect()
    },
    queryTogether: (statements, parameters) => connected(postgres.databaseUrl, async (client) => {
      await client.query("begin")
      for (const statement of statements) await client.query(statement, [...parameters])
      await client.query("commit")
    }),
    query,
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

const queryOnce = <Row extends object>(databaseUrl: string, statement: string, parameters: ReadonlyArray<unknown> = []): Promise<ReadonlyArray<Row>> =>
  connected(databaseUrl, async (client) => (await client.query<Row & pg.QueryResultRow>(statement, [...parameters])).rows)

const connected = async <A>(databaseUrl: string, work: (client: pg.Client) => Promise<A>): Promise<A> => {
  const client = new pg.Client({ connectionString: databaseUrl, connectionTimeoutMillis: 5_000 })
  client.on("error", () => {}) // told by the query under way
  await client.connect()
  try {
    return await work(client)
  } finally {
    await client.end().catch(() => {})
  }
}
