import { spawn } from "node:child_process"
import { once } from "node:events"
import { fileURLToPath } from "node:url"
import { freePort } from "./Port.ts"
import * as Usage from "./Usage.ts"

export interface CaptureOptions {
  readonly databaseUrl: string
  readonly brokers: string
  /** Of topics, slot and publication. */
  readonly name: string
  readonly partitions: number
  /** Comma-separated, as Postgres spells them. */
  readonly tables: string
  /** Further settings, as their environment variables. */
  readonly environment?: Readonly<Record<string, string>>
}

/** A `cdc capture` as users run it, as a process of its own. */
export interface Capture {
  /** When the first snapshot is published; fails if the process ends before. */
  readonly snapshotted: () => Promise<void>
  readonly usage: () => Usage.Usage
  readonly stop: () => Promise<void>
}

interface Status {
  readonly capture: { readonly state: string }
  readonly snapshot?: { readonly state: string }
}

export const start = async (options: CaptureOptions): Promise<Capture> => {
  const port = await freePort()
  await setUp(options, port)
  const capture = launch(["capture"], options, port)
  const over = ended(capture)
  over.catch(() => {}) // whoever waits is told
  return {
    snapshotted: async () => {
      while (capture.exitCode === null && capture.signalCode === null) {
        const status = await fetch(`http://127.0.0.1:${port}/status`).then((response) => response.json() as Promise<Status>, () => undefined)
        if (status?.capture.state === "streaming" && status.snapshot?.state === "done") return
        await new Promise((resolve) => setTimeout(resolve, 100)) // it does not listen yet, or reads
      }
      await over
      throw new Error("cdc capture ended by itself")
    },
    usage: () => Usage.of(capture.pid!),
    stop: async () => {
      capture.kill("SIGTERM")
      await over
    }
  }
}

const cdc = fileURLToPath(new URL("../../bin/cdc", import.meta.url))

/** `cdc` with these arguments and settings, as a process. */
export const launch = (command: ReadonlyArray<string>, { brokers, databaseUrl, environment, name, partitions, tables }: CaptureOptions, port: number) =>
  spawn(cdc, [...command], {
    env: {
      ...process.env,
      DATABASE_URL: databaseUrl,
      KAFKA_BROKERS: brokers,
      PORT: String(port),
      CDC_KAFKA_TOPIC_PREFIX: name,
      CDC_KAFKA_PARTITIONS: String(partitions),
      CDC_SOURCE_SLOT: name,
      CDC_SOURCE_PUBLICATION: name,
      CDC_SOURCE_TABLES: tables,
      CDC_PIPELINES_ENABLED: "none", // the tables that they write are not here
      LOG_LEVEL: "warn",
      ...environment
    },
    stdio: ["ignore", "ignore", command[0] === "setup" ? "pipe" : "inherit"]
  })

/** What it says is shown if it fails. */
const setUp = async (options: CaptureOptions, port: number): Promise<void> => {
  const child = launch(["setup"], options, port)
  const said: Array<Buffer> = []
  child.stderr!.on("data", (chunk: Buffer) => said.push(chunk))
  await ended(child).catch((cause: Error) => {
    throw new Error(`${cause.message}\n${Buffer.concat(said)}`)
  })
}

const ended = async (child: ReturnType<typeof launch>): Promise<void> => {
  const [code, signal] = await once(child, "exit") as [number | null, NodeJS.Signals | null]
  if (code !== 0) throw new Error(`cdc ended with ${code ?? signal}`)
}
