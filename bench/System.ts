import { spawn } from "node:child_process"
import { randomBytes } from "node:crypto"
import { once } from "node:events"
import { fileURLToPath } from "node:url"
import type pg from "pg"
import { freePort } from "./debezium/Port.ts"
import * as Usage from "./debezium/Usage.ts"
import { connect, type Servers } from "./Servers.ts"

/** A whole `cdc run` of its own, as a process of its own, on a sample hub in a database of its own; all removed at the end. */
export interface System extends AsyncDisposable {
  readonly hub: pg.Client
  readonly databaseUrl: string
  readonly topicPrefix: string
  readonly brokers: string
  /** `/status`, once it says so. */
  readonly until: (isReached: (status: { caughtUp: boolean; settled: boolean }) => boolean) => Promise<void>
  readonly usage: () => Usage.Usage
}

export const start = async (servers: Servers, companies: number): Promise<System> => {
  const name = `bench_${randomBytes(4).toString("hex")}`
  const admin = await connect(servers)
  await admin.query(`create database ${name}`)
  const url = new URL(servers.databaseUrl)
  url.pathname = `/${name}`
  const port = await freePort()
  const environment = {
    ...process.env,
    DATABASE_URL: url.href,
    KAFKA_BROKERS: servers.brokers,
    PORT: String(port),
    CDC_KAFKA_TOPIC_PREFIX: name,
    CDC_SOURCE_SLOT: name,
    CDC_SOURCE_PUBLICATION: name,
    LOG_LEVEL: "warn"
  }
  const cdc = spawn(fileURLToPath(new URL("../bin/cdc", import.meta.url)), ["start", "--no-activity", "--companies", String(companies)], {
    env: environment,
    stdio: ["ignore", "ignore", "inherit"]
  })
  const ended = once(cdc, "exit")
  const hub = await connect({ databaseUrl: url.href })
  const get = (path: string) => fetch(`http://127.0.0.1:${port}${path}`).then((response) => response.text(), () => undefined)
  return {
    hub,
    databaseUrl: url.href,
    topicPrefix: name,
    brokers: servers.brokers,
    until: async (isReached) => {
      while (cdc.exitCode === null) {
        const status = await get("/status")
        if (status !== undefined && isReached(JSON.parse(status))) return
        await new Promise((resolve) => setTimeout(resolve, 100))
      }
      throw new Error(`cdc ended with ${cdc.exitCode}`)
    },
    usage: () => Usage.of(cdc.pid!),
    [Symbol.asyncDispose]: async () => {
      cdc.kill("SIGTERM")
      await ended
      await hub.end()
      await admin.query("select pg_drop_replication_slot(slot_name) from pg_replication_slots where slot_name = $1", [name])
      await admin.query(`drop database ${name} with (force)`)
      await admin.end()
    }
  }
}
