import { execFileSync, spawn } from "node:child_process"
import { once } from "node:events"
import * as Usage from "./debezium/Usage.ts"
import { connect } from "./Servers.ts"
import type { Arrival } from "./Sink.ts"

export interface ReceiveOptions {
  readonly databaseUrl: string
  readonly slot: string
  readonly publication: string
  readonly rows: number
}

/** `pg_recvlogical` (Debian: postgresql-client) reads a slot up to the WAL's present end, and keeps nothing. */
export const measure = async ({ databaseUrl, publication, rows, slot }: ReceiveOptions): Promise<Arrival> => {
  await using client = await connect({ databaseUrl })
  const { rows: [end] } = await client.query<{ lsn: string }>("select pg_current_wal_lsn() as lsn")
  // The end must lie behind a record that is sent, else it waits for one.
  await client.query("select pg_logical_emit_message(false, 'bench', '')")
  const started = performance.now()
  const child = spawn(program(), [
    `--dbname=${databaseUrl}`, `--slot=${slot}`, "--start", "--no-loop", `--endpos=${end!.lsn}`, "--file=/dev/null",
    "--option=proto_version=1", `--option=publication_names=${publication}`, "--option=messages=true"
  ], { stdio: ["ignore", "inherit", "inherit"] })
  let last: Usage.Usage = { cpuSeconds: 0, residentBytes: 0, peakBytes: 0 }
  const looking = setInterval(() => {
    try {
      last = Usage.of(child.pid!)
    } catch {
      // it has just ended
    }
  }, lookEveryMillis)
  const [code] = await once(child, "exit")
  clearInterval(looking)
  if (code !== 0) throw new Error(`pg_recvlogical ended with ${code}`)
  const seconds = (performance.now() - started) / 1_000
  return { rowsPerSecond: Math.round(rows / seconds), cpuMicrosPerRow: Number((last.cpuSeconds * 1e6 / rows).toFixed(1)), peakBytes: last.peakBytes }
}

const lookEveryMillis = 20

/** Debian has it in a directory per major; the newest there is. */
const program = (): string =>
  execFileSync("sh", ["-c", "ls /usr/lib/postgresql/*/bin/pg_recvlogical 2>/dev/null | sort -V | tail -1"], { encoding: "utf8" }).trim() || "pg_recvlogical"
