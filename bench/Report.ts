import { mkdirSync, writeFileSync } from "node:fs"
import { cpus, loadavg, totalmem } from "node:os"
import { debeziumVersion } from "./debezium/Distribution.ts"
import * as KafkaDistribution from "../src/embedded/KafkaDistribution.ts"
import { connect, type Servers } from "./Servers.ts"

export type Row = Readonly<Record<string, string | number>>

/** What a bench found; the columns of a row say their units. */
export interface Measured {
  /** What was done, in a line. */
  readonly title: string
  readonly rows: ReadonlyArray<Row>
}

/** As kept in `bench/results`. */
export interface Result extends Measured {
  readonly date: string
  readonly machine: string
  /** Over one minute, at the end: much more than the machine's cores means that others worked on it, too. */
  readonly load: number
}

export const directory = new URL("results/", import.meta.url)

export const print = ({ rows, title }: Measured): void => {
  console.log(title)
  console.table(rows)
}

export const keep = async (name: string, measured: Measured, servers: Servers): Promise<void> => {
  const result: Result = {
    ...measured,
    date: new Date().toISOString().slice(0, 16),
    machine: await machineOf(servers),
    load: Math.round(loadavg()[0]! * 10) / 10
  }
  console.log(result.machine)
  mkdirSync(directory, { recursive: true })
  writeFileSync(new URL(`${name}.json`, directory), `${JSON.stringify(result, undefined, 2)}\n`)
}

const machineOf = async (servers: Servers): Promise<string> => {
  await using client = await connect(servers)
  const { rows: [settings] } = await client.query<{ version: string; fsync: string }>(
    "select current_setting('server_version') as version, current_setting('fsync') as fsync"
  )
  return `${cpus().length} × ${cpus()[0]!.model}, ${Math.round(totalmem() / 2 ** 30)} GB, shared by everything; Node ${process.versions.node}, ` +
    `Postgres ${settings!.version} (fsync ${settings!.fsync}), Kafka ${KafkaDistribution.version}, Debezium ${debeziumVersion}`
}
