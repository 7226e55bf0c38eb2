import { type ChildProcess, spawn } from "node:child_process"
import { once } from "node:events"
import { createServer } from "node:net"
import { fileURLToPath } from "node:url"

const command = fileURLToPath(new URL("../../bin/cdc", import.meta.url))

/** A `cdc` process of its own, as a user would start it; what it says is kept for the message of a failing test. */
export interface CdcProcess {
  readonly child: ChildProcess
  readonly said: () => string
  /** Waits for its end: the exit code, or the signal. */
  readonly ended: Promise<number | NodeJS.Signals>
  /** Kills it as a crash would, and waits until it is gone. */
  readonly kill: () => Promise<void>
}

/** `program`: another version's `main.ts`. */
export const startCdc = (verb: ReadonlyArray<string>, environment: Readonly<Record<string, string>>, program?: string): CdcProcess => {
  const [file, args] = program === undefined ? [command, verb] : [process.execPath, [program, ...verb]]
  const child = spawn(file, args, {
    env: { ...process.env, ...environment },
    stdio: ["ignore", "pipe", "pipe"]
  })
  let said = ""
  for (const stream of [child.stdout!, child.stderr!]) stream.on("data", (data: Buffer) => said = (said + data.toString()).slice(-20_000))
  const ended = once(child, "exit").then(([code, signal]) => (code ?? signal) as number | NodeJS.Signals)
  return {
    child,
    said: () => said,
    ended,
    kill: async () => {
      child.kill("SIGKILL")
      await ended
    }
  }
}

/** Runs a verb to its end; throws with what it said unless it exits with 0. */
export const runCdc = async (verb: ReadonlyArray<string>, environment: Readonly<Record<string, string>>): Promise<string> => {
  const cdc = startCdc(verb, environment)
  const code = await cdc.ended
  if (code !== 0) throw new Error(`cdc ${verb.join(" ")} ended with ${code}:\n${cdc.said()}`)
  return cdc.said()
}

/** The samples of `/metrics`, by series as it stands there. */
export const readMetrics = async (port: number): Promise<ReadonlyMap<string, number>> => {
  const text = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text()
  return new Map(text.split("\n").filter((line) => line !== "" && !line.startsWith("#")).map((line): [string, number] => {
    const space = line.lastIndexOf(" ")
    return [line.slice(0, space), Number(line.slice(space + 1))]
  }))
}

export const freePort = async (): Promise<number> => {
  const server = createServer().listen(0, "127.0.0.1")
  await once(server, "listening")
  const { port } = server.address() as { port: number }
  server.close()
  await once(server, "close")
  return port
}

/** Asks `/status` until `isReached`; each answer itself waits up to 2 s for the system to catch up. Fails if the process ends. */
export const waitForStatus = async (cdc: CdcProcess, port: number, isReached: (status: Status) => boolean): Promise<Status> => {
  let hasEnded = false
  void cdc.ended.then(() => hasEnded = true)
  while (!hasEnded) {
    const status = await fetch(`http://127.0.0.1:${port}/status`).then(
      async (response) => response.ok ? await response.json() as Status : undefined,
      () => undefined // not listening yet
    )
    if (status !== undefined && isReached(status)) return status
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
  throw new Error(`cdc ended with ${await cdc.ended} while it was waited for:\n${cdc.said()}`)
}

export interface Status {
  readonly caughtUp: boolean
  readonly settled: boolean
  readonly pipelines: ReadonlyArray<{ readonly name: string; readonly state: string; readonly deadLetters: number; readonly openDeadLetters: Readonly<Record<string, number>>; readonly suspectRows: number; readonly lagRecords: number }>
}
