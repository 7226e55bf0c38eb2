import { Effect, Exit, Scope } from "effect"
import { execFileSync } from "node:child_process"

/** A server that is killed, frozen and brought back: on the same port, with the same data. */
export interface Server {
  readonly name: string
  /** As a power cut does it (what the kernel holds for it survives). It is away until `start`. */
  readonly kill: () => Promise<void>
  /** In good order. */
  readonly stop: () => Promise<void>
  /** Comes back when it answers. */
  readonly start: () => Promise<void>
  /** Its processes stand still until `thaw`; connections stay open and say nothing. */
  readonly freeze: () => void
  readonly thaw: () => void
}

/** `directory`: the server's own; its command line names it, and that is how its process is found. */
export const launch = async (name: string, directory: string, run: Effect.Effect<unknown, unknown, Scope.Scope>): Promise<Server> => {
  let scope: Scope.Closeable | undefined
  const start = async () => {
    scope = Effect.runSync(Scope.make())
    await Effect.runPromise(Scope.provide(run, scope))
  }
  const stop = async () => {
    if (scope !== undefined) await Effect.runPromise(Scope.close(scope, Exit.void))
    scope = undefined
  }
  await start()
  return {
    name,
    start,
    stop,
    kill: async () => {
      signal(processesOf(directory), "SIGKILL")
      await stop()
    },
    freeze: () => signal(processesOf(directory), "SIGSTOP"),
    thaw: () => signal(processesOf(directory), "SIGCONT")
  }
}

interface Process {
  readonly pid: number
  readonly parent: number
  readonly command: string
}

/** The server and the processes that it has started, without the shell that watches over it. */
const processesOf = (directory: string): ReadonlyArray<Process> => {
  const all = execFileSync("ps", ["-eo", "pid=,ppid=,args="], { encoding: "utf8" }).split("\n").map(parse).filter((found) => found !== undefined)
  const heads = all.filter(({ command }) => command.includes(directory) && !command.startsWith("sh "))
  return all.filter((process) => heads.includes(process) || heads.some(({ pid }) => pid === process.parent))
}

const parse = (line: string): Process | undefined => {
  const match = /^\s*(\d+)\s+(\d+)\s+(.+)$/.exec(line)
  return match === null ? undefined : { pid: Number(match[1]), parent: Number(match[2]), command: match[3]! }
}

const signal = (processes: ReadonlyArray<Process>, name: NodeJS.Signals): void => {
  for (const { pid } of processes) {
    try {
      process.kill(pid, name)
    } catch {
      // it ended between the look and the signal
    }
  }
}
