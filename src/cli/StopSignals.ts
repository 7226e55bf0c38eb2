import { Effect } from "effect"

/** What this process was asked to stop by, and whether that is how it is meant to end. */
let asked: NodeJS.Signals | undefined
let runsUntilStopped = false

/** Marks what runs until it is stopped: being stopped in order is its success. */
export const untilStopped = <A, E, R>(command: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.suspend(() => {
    runsUntilStopped = true
    return command
  })

/** The exit code of a process that was stopped in order: what had an end of its own did not come to it, and who waits for it must know. */
export const stoppedCode = (): number => asked === undefined || runsUntilStopped ? 0 : codeOf(asked)

/**
 * Ctrl-C and SIGTERM stop everything in order (the runtime hears them, too); whoever asks twice does not want to wait, and a closed
 * terminal is a SIGTERM. One Ctrl-C arrives twice under `npm start`: the terminal sends it to the whole process group, and npm passes
 * on its own; so does a SIGTERM to the group.
 */
export const listen = (): void => {
  let firstAt: number | undefined
  const stop = (signal: NodeJS.Signals): void => {
    const now = performance.now()
    if (isImpatient(firstAt, now)) process.exit(codeOf(signal))
    if (firstAt !== undefined) return
    firstAt = now
    asked = signal
    if (signal === "SIGINT") process.stderr.write("\nStopping; Ctrl-C again stops at once.\n")
    setTimeout(() => {
      process.stderr.write(`Not everything stopped in order within ${patienceMillis / 1_000} s (is a server not answering?); stopping all the same. Nothing is lost by it.\n`)
      process.exit(codeOf(signal))
    }, patienceMillis).unref()
  }
  process.on("SIGINT", stop)
  process.on("SIGTERM", stop)
  process.on("SIGHUP", () => process.kill(process.pid, "SIGTERM"))
}

/** 128 + the signal's number, as shells say it. */
const codeOf = (signal: NodeJS.Signals): number => (signal === "SIGINT" ? 130 : 143)

/** Connections whose other end is frozen are closed by nobody; and what a kill does at any instant, this may do, too. Longer than embedded servers take. */
const patienceMillis = 20_000

/** What comes sooner is npm's echo, also on a busy machine; nobody has read by then that asking again stops at once. */
export const echoMillis = 500

/** Whether a signal asks for the second time. In milliseconds; undefined: nobody has asked yet. */
export const isImpatient = (firstAt: number | undefined, now: number): boolean => firstAt !== undefined && now - firstAt >= echoMillis
