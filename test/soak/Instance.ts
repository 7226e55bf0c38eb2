import { type CdcProcess, freePort, startCdc, type Status } from "../support/CdcProcess.ts"

/** One `cdc run` under a supervisor, as in production: whatever ends it, it is started again, unless a person must decide. */
export interface Instance {
  readonly name: string
  readonly start: () => void
  /** As a crash; it stays away until `start`. */
  readonly kill: () => Promise<void>
  /** As Ctrl-C; resolves when it is gone. */
  readonly stop: () => Promise<void>
  readonly freeze: () => void
  readonly thaw: () => void
  /** undefined: it does not answer now. */
  readonly status: () => Promise<SoakStatus | undefined>
  /** Each end that nobody asked for: the exit code (or signal) and the last words. */
  readonly ends: ReadonlyArray<string>
  readonly said: () => string
}

export interface SoakStatus extends Status {
  readonly capture: { readonly state: string; readonly retainedWalBytes: number; readonly gaps: ReadonlyArray<{ readonly table: string; readonly why: string }> }
}

const restartMillis = 300
/** Exit codes that a supervisor leaves alone: somebody must look. */
const final = new Set([2, 4, 70])

export const make = async (name: string, environment: Readonly<Record<string, string>>, program: string): Promise<Instance> => {
  const port = await freePort()
  const ends: Array<string> = []
  let process: CdcProcess | undefined
  let restart: NodeJS.Timeout | undefined
  const start = () => {
    const started = startCdc(["run"], { ...environment, PORT: String(port) }, program)
    process = started
    const ended = (code: number | NodeJS.Signals): void => {
      if (process !== started) return // asked for
      ends.push(`${name} ended with ${code}: ${started.said().trimEnd().split("\n").slice(-3).join(" | ")}`)
      if (!final.has(code as number)) restart = setTimeout(start, restartMillis)
    }
    void started.ended.then(ended)
  }
  const end = async (signal: NodeJS.Signals) => {
    clearTimeout(restart)
    const ending = process
    process = undefined
    ending?.child.kill(signal)
    await ending?.ended
  }
  return {
    name,
    start,
    kill: () => end("SIGKILL"),
    stop: () => end("SIGTERM"),
    freeze: () => process?.child.kill("SIGSTOP"),
    thaw: () => process?.child.kill("SIGCONT"),
    status: () =>
      fetch(`http://127.0.0.1:${port}/status`, { signal: AbortSignal.timeout(8_000) }).then(
        async (response) => response.ok ? await response.json() as SoakStatus : undefined,
        () => undefined
      ),
    ends,
    said: () => process?.said() ?? ""
  }
}
