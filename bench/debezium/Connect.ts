import { type ChildProcess, spawn } from "node:child_process"
import { once } from "node:events"
import { createWriteStream, mkdirSync, rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { createInterface } from "node:readline"
import type { Distribution } from "./Distribution.ts"
import { freePort } from "./Port.ts"
import * as Usage from "./Usage.ts"

export interface ConnectOptions {
  readonly distribution: Distribution
  /** Of its own: settings, offsets and `connect.log` are written here. */
  readonly directory: string
  readonly brokers: string
  /** The connector's settings, `name` and `connector.class` among them. */
  readonly connector: Readonly<Record<string, string>>
  /** Over the worker's own settings. */
  readonly worker?: Readonly<Record<string, string>>
  /** Default: a heap of 512 MB, the serial collector. */
  readonly jvm?: ReadonlyArray<string>
}

/** A Kafka Connect worker in standalone mode with one connector, as a child process; started by {@link start}. */
export interface Connect {
  /** When it first logs a line that `is` matches, also before the call; fails with the reason if the connector fails or the process ends before. */
  readonly logged: (is: RegExp) => Promise<string>
  readonly usage: () => Usage.Usage
  /** In good order: everything sent is acknowledged, and its offsets are written. */
  readonly stop: () => Promise<void>
}

/** What a failed connector or worker says: nothing comes after it. */
const failure = /Task threw an uncaught and unrecoverable exception|Failed to create connector|Stopping due to error|Failed to start connector/

export const start = async (options: ConnectOptions): Promise<Connect> => {
  const { connector, directory, distribution } = options
  mkdirSync(directory, { recursive: true })
  rmSync(join(directory, "offsets"), { force: true }) // it begins with a snapshot
  const workerFile = join(directory, "worker.properties")
  const connectorFile = join(directory, "connector.json")
  writeFileSync(workerFile, properties({ ...await workerSettings(options), ...options.worker }))
  writeFileSync(connectorFile, JSON.stringify(connector, undefined, 2), { mode: 0o600 }) // it has a password
  const child = spawn(distribution.java, [
    ...options.jvm ?? ["-Xmx512m", "-XX:+UseSerialGC"],
    "-Dorg.slf4j.simpleLogger.logFile=System.out",
    "-Dorg.slf4j.simpleLogger.showDateTime=true",
    "-Dorg.slf4j.simpleLogger.dateTimeFormat=HH:mm:ss.SSS",
    "-cp",
    distribution.classPath,
    "org.apache.kafka.connect.cli.ConnectStandalone",
    workerFile,
    connectorFile
  ], { cwd: directory, stdio: ["ignore", "pipe", "pipe"] })
  const ended = once(child, "exit")
  const log = follow(child, join(directory, "connect.log"))
  return {
    logged: log.logged,
    usage: () => Usage.of(child.pid!),
    stop: async () => {
      child.kill("SIGTERM")
      await ended
    }
  }
}

const workerSettings = async ({ brokers, directory }: ConnectOptions) => ({
  "bootstrap.servers": brokers,
  "key.converter": "org.apache.kafka.connect.json.JsonConverter",
  "value.converter": "org.apache.kafka.connect.json.JsonConverter",
  "offset.storage.file.filename": join(directory, "offsets"),
  "offset.flush.interval.ms": "1000",
  "plugin.discovery": "service_load",
  "listeners": `http://127.0.0.1:${await freePort()}`
})

const properties = (settings: Readonly<Record<string, string>>): string =>
  Object.entries(settings).map(([name, value]) => `${name}=${value}\n`).join("")

/** Keeps every line in `file`, and tells who waits for one. */
const follow = (child: ChildProcess, file: string) => {
  const kept = createWriteStream(file)
  const lines: Array<string> = []
  const waiting = new Set<{ readonly is: RegExp; readonly seen: PromiseWithResolvers<string> }>()
  let failed: Error | undefined
  const fail = (line: string) => {
    failed ??= new Error(`${line}\n  The whole log: ${file}`)
    for (const { seen } of waiting) seen.reject(failed)
    waiting.clear()
  }
  const note = (line: string) => {
    kept.write(`${line}\n`)
    lines.push(line)
    if (failure.test(line)) fail(line)
    for (const waiter of waiting) {
      if (!waiter.is.test(line)) continue
      waiting.delete(waiter)
      waiter.seen.resolve(line)
    }
  }
  for (const input of [child.stdout!, child.stderr!]) createInterface({ input }).on("line", note)
  child.once("error", (error) => fail(`Kafka Connect did not start: ${error.message}`))
  child.once("exit", (code, signal) => fail(`Kafka Connect ended (${code ?? signal})`))
  return {
    logged: (is: RegExp): Promise<string> => {
      const before = lines.find((line) => is.test(line))
      if (before !== undefined) return Promise.resolve(before)
      if (failed !== undefined) return Promise.reject(failed)
      const seen = Promise.withResolvers<string>()
      waiting.add({ is, seen })
      return seen.promise
    }
  }
}
