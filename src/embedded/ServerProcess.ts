import { Deferred, Duration, Effect, Scope } from "effect"
import { type ChildProcess, spawn } from "node:child_process"
import { closeSync, openSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { EmbeddedServerError } from "./EmbeddedServerError.ts"
import * as Occupancy from "./Occupancy.ts"

/**
 * A server as a child process that neither the terminal's Ctrl-C nor our sudden death gets out of step:
 *
 * - It leads a process group of its own, so that Ctrl-C reaches us alone and we stop servers in our order.
 * - A shell between us and it waits for the end of a pipe from us, and then stops it: also when we were killed.
 * - It holds `<directory>/in-use` open ({@link Occupancy}), so that the next start waits until it is really gone.
 */
export interface ServerOptions {
  readonly name: string
  readonly command: ReadonlyArray<string>
  readonly environment?: Readonly<Record<string, string>>
  /** Its own: `server.log` (of the last run) and `in-use` are written here. */
  readonly directory: string
  /** Makes it stop in good order. */
  readonly stopSignal: "INT" | "TERM"
  /** Succeeds as soon as the server answers. */
  readonly isReady: Effect.Effect<void>
}

/** Returns when the server answers; the end of the scope stops it. If it ends by itself in between, that is logged. */
export const start = (options: ServerOptions): Effect.Effect<void, EmbeddedServerError, Scope.Scope> =>
  Effect.gen(function*() {
    const exited = yield* Deferred.make<never, EmbeddedServerError>()
    yield* Effect.acquireRelease(
      Effect.sync(() => {
        const child = launch(options)
        child.once("exit", (code, signal) => Deferred.doneUnsafe(exited, Effect.fail(died(options, code ?? signal))))
        child.once("error", (cause) => Deferred.doneUnsafe(exited, Effect.fail(died(options, cause.message))))
        return child
      }),
      (child) => stop(child, options.name)
    )
    yield* options.isReady.pipe(
      Effect.raceFirst(Deferred.await(exited)),
      Effect.timeoutOrElse({ duration: startTimeout, orElse: () => Effect.fail(tooSlow(options)) })
    )
    yield* Effect.forkScoped(Deferred.await(exited).pipe(Effect.catch((error) => Effect.logError(error.message))))
  })

/** Waits until the server of an earlier start, which may just have been killed, no longer uses the directory. */
export const whenStopped = (name: string, directory: string): Effect.Effect<void, EmbeddedServerError> =>
  Occupancy.whenFree(join(directory, inUse)).pipe(
    Effect.timeoutOrElse({
      duration: stopTimeout,
      orElse: () =>
        Effect.fail(
          new EmbeddedServerError({
            reason: "alreadyRunning",
            message: `An earlier ${name} still runs in ${directory}; stop the process that has ${join(directory, inUse)} open.`
          })
        )
    })
  )

/** Nobody's server runs in the directory. */
export const isStopped = (directory: string): boolean => Occupancy.isFree(join(directory, inUse))

const startTimeout = Duration.seconds(90) // Kafka needs some 4 s; much more on a machine that is busy otherwise
const stopTimeout = Duration.seconds(60)
const inUse = "in-use"

/** $1: the signal; then the command line. Standard input ends when we are gone, or want the server to stop. */
const supervise = `
stop=$1; shift
exec 4<&0
"$@" </dev/null 4<&- &
server=$!
{ read -r _ <&4; kill -s "$stop" "$server"; } 3<&- &
watcher=$!
wait "$server"; status=$?
kill "$watcher" 2>/dev/null
exit "$status"`

const launch = ({ command, directory, environment, stopSignal }: ServerOptions): ChildProcess => {
  const log = openSync(join(directory, "server.log"), "w")
  const held = Occupancy.hold(join(directory, inUse))
  try {
    return spawn("sh", ["-c", supervise, "sh", stopSignal, ...command], {
      cwd: directory,
      env: { ...process.env, ...environment },
      detached: true,
      stdio: ["pipe", log, log, held]
    })
  } finally {
    closeSync(log)
    closeSync(held) // from here on it is the server's alone
  }
}

const stop = (child: ChildProcess, name: string): Effect.Effect<void> =>
  Effect.callback<void>((resume) => {
    if (child.exitCode !== null || child.signalCode !== null || child.pid === undefined) return resume(Effect.void)
    child.once("exit", () => resume(Effect.void))
    child.stdin!.end()
  }).pipe(Effect.timeoutOrElse({
    duration: stopTimeout,
    orElse: () =>
      Effect.logWarning(`${name} did not stop in time and is killed`).pipe(
        Effect.andThen(Effect.sync(() => process.kill(-child.pid!, "SIGKILL")))
      )
  }))

const died = (options: ServerOptions, how: unknown): EmbeddedServerError =>
  new EmbeddedServerError({
    reason: "didNotStart",
    message: `${options.name} ended by itself (${how}):\n${endOfLog(options)}`
  })

const tooSlow = (options: ServerOptions): EmbeddedServerError =>
  new EmbeddedServerError({
    reason: "didNotStart",
    message: `${options.name} does not answer after ${Duration.toSeconds(startTimeout)} s:\n${endOfLog(options)}`
  })

const endOfLog = ({ directory }: ServerOptions): string => {
  const file = join(directory, "server.log")
  const lines = readFileSync(file, "utf8").trimEnd().split("\n").slice(-12)
  return [...lines.map((line) => `  ${line}`), `The whole log: ${file}`].join("\n")
}
