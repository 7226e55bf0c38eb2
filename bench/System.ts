import { spawn } from "node:child_process"
import { randomBytes } from "node:crypto"
import { once } from "node:events"
import { createServer } from "node:net"
import { fileURLToPath } from "node:url"
import pg from "pg"

/** A whole `cdc run` of its own, as a process of its own, on a sample hub in a database of its own; all removed at the end. */
export interface System {
  readonly hub: pg.Client
  readonly databaseUrl: string
  readonly topicPrefix: string
  readonly brokers: ReadonlyArray<string>
  /** `/status`, once it says so. */
  readonly until: (isReached: (status: { caughtUp: boolean; settled: boolean }) => boolean) => Promise<void>
  /** What `/metrics` says of the process: seconds of CPU, bytes of resident memory. */
  readonly usage: () => Promise<{ readonly cpuSeconds: number; readonly residentBytes: number }>
  readonly close: () => Promise<void>
}

export const start = async (companies: number): Promise<System> => {
  const { DATABASE_URL: server, KAFKA_BROKERS: brokers } = process.env
  if (server === undefined || brokers === undefined) throw new Error("Set DATABASE_URL and KAFKA_BROKERS.")
  const name = `bench_${randomBytes(4).toString("hex")}`
  const admin = new pg.Client({ connectionString: server })
  await admin.connect()
  await admin.query(`create database ${name}`)
  const url = new URL(server)
  url.pathname = `/${name}`
  const port = await freePort()
  const environment = {
    ...process.env,
    DATABASE_URL: url.href,
    KAFKA_BROKERS: brokers,
    PORT: String(port),
    CDC_KAFKA_TOPIC_PREFIX: name,
    CDC_SOURCE_SLOT: name,
    CDC_SOURCE_PUBLICATION: name,
    LOG_LEVEL: "warn"
  }
  const cdc = spawn(process.execPath, [...process.execArgv, fileURLToPath(new URL("../src/main.ts", import.meta.url)), "start", "--no-activity", "--companies", String(companies)], {
    env: environment,
    stdio: ["ignore", "ignore", "inherit"]
  })
  const ended = once(cdc, "exit")
  const hub = new pg.Client({ connectionString: url.href })
  await hub.connect()
  const get = (path: string) => fetch(`http://127.0.0.1:${port}${path}`).then((response) => response.text(), () => undefined)
  return {
    hub,
    databaseUrl: url.href,
    topicPrefix: name,
    brokers: brokers.split(","),
    until: async (isReached) => {
      while (cdc.exitCode === null) {
        const status = await get("/status")
        if (status !== undefined && isReached(JSON.parse(status))) return
        await new Promise((resolve) => setTimeout(resolve, 100))
      }
      throw new Error(`cdc ended with ${cdc.exitCode}`)
    },
    usage: async () => {
      const metrics = await get("/metrics") ?? ""
      const value = (metric: string) => Number(new RegExp(`^${metric} (\\S+)$`, "m").exec(metrics)?.[1])
      return { cpuSeconds: value("process_cpu_seconds_total"), residentBytes: value("process_resident_memory_bytes") }
    },
    close: async () => {
      cdc.kill("SIGTERM")
      await ended
      await hub.end()
      await admin.query("select pg_drop_replication_slot(slot_name) from pg_replication_slots where slot_name = $1", [name])
      await admin.query(`drop database ${name} with (force)`)
      await admin.end()
    }
  }
}

const freePort = async (): Promise<number> => {
  const server = createServer().listen(0, "127.0.0.1")
  await once(server, "listening")
  const { port } = server.address() as { port: number }
  server.close()
  return port
}
