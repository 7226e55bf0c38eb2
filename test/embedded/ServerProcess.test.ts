import { Effect, Exit, Scope } from "effect"
import { type ChildProcess, spawn } from "node:child_process"
import { once } from "node:events"
import { closeSync, existsSync, mkdtempSync, readFileSync, rmSync, watch } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterEach, beforeEach, describe, expect, it } from "vitest"
import * as Occupancy from "../../src/embedded/Occupancy.ts"
import * as ServerProcess from "../../src/embedded/ServerProcess.ts"

let directory: string
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "cdc-server-"))
})
afterEach(() => rmSync(directory, { recursive: true }))

/** A server that takes a moment to stop, and says that it did so in good order. */
const server = "trap 'echo stopped > stopped; exit 0' TERM; echo up > up; while :; do sleep 0.05; done"

const options = (script = server): ServerProcess.ServerOptions => ({
  name: "Example",
  command: ["sh", "-c", script],
  directory,
  stopSignal: "TERM",
  isReady: Effect.promise(() => appears(join(directory, "up")))
})

describe("a server process", () => {
  it("is up when start returns, and stopped in good order when its scope ends", async () => {
    const scope = Effect.runSync(Scope.make())
    await Effect.runPromise(Scope.provide(ServerProcess.start(options()), scope))
    expect(ServerProcess.isStopped(directory)).toBe(false)
    await Effect.runPromise(Scope.close(scope, Exit.void))
    expect(existsSync(join(directory, "stopped"))).toBe(true)
    expect(ServerProcess.isStopped(directory)).toBe(true)
  })

  it("tells the end of its log when it does not come up", async () => {
    const failing = { ...options("echo 'could not bind' >&2; exit 7"), isReady: Effect.never }
    const error = await Effect.runPromise(Effect.flip(Effect.scoped(ServerProcess.start(failing))))
    expect(error.reason).toBe("didNotStart")
    expect(error.message).toMatch(/^Example ended by itself \(7\):\n {2}could not bind\nThe whole log: .*server\.log$/)
  })

  it("leaves no orphan when who started it is killed, and the next start waits for its end", async () => {
    const parent = startedElsewhere()
    await appears(join(directory, "up"))
    expect(ServerProcess.isStopped(directory)).toBe(false)
    parent.kill("SIGKILL")
    await once(parent, "exit")
    await Effect.runPromise(ServerProcess.whenStopped("Example", directory))
    expect(readFileSync(join(directory, "stopped"), "utf8")).toBe("stopped\n")
  })

  it("is out of the terminal's reach: Ctrl-C goes to the process group of who started it", async () => {
    const parent = startedElsewhere({ detached: true })
    await appears(join(directory, "up"))
    process.kill(-parent.pid!, "SIGINT")
    await once(parent, "exit")
    await Effect.runPromise(ServerProcess.whenStopped("Example", directory))
    expect(existsSync(join(directory, "stopped"))).toBe(true) // by TERM from its supervisor, not by that INT
  })
})

describe("a directory in use", () => {
  it("is free when the last process that holds it is gone", async () => {
    const pipe = join(directory, "in-use")
    expect(Occupancy.isFree(pipe)).toBe(true)
    const held = Occupancy.hold(pipe)
    expect(Occupancy.isFree(pipe)).toBe(false)
    const child = spawn("sh", ["-c", "read -r _"], { stdio: ["pipe", "inherit", "inherit", held] })
    closeSync(held)
    expect(Occupancy.isFree(pipe)).toBe(false)
    child.stdin!.end()
    await Effect.runPromise(Occupancy.whenFree(pipe))
    expect(Occupancy.isFree(pipe)).toBe(true)
  })
})

/** Another process that starts the server and then waits for ever. */
const startedElsewhere = (how: { readonly detached?: boolean } = {}): ChildProcess => {
  const module = (path: string) => JSON.stringify(new URL(path, import.meta.url).href)
  const script = `
    import { Effect } from "effect"
    const ServerProcess = await import(${module("../../src/embedded/ServerProcess.ts")})
    const options = ${JSON.stringify({ ...options(), isReady: undefined })}
    await Effect.runPromise(Effect.scoped(Effect.andThen(ServerProcess.start({ ...options, isReady: Effect.void }), Effect.never)))`
  return spawn(process.execPath, ["--input-type=module", "--eval", script], { stdio: "inherit", ...how })
}

const appears = (file: string): Promise<void> =>
  new Promise((resolve) => {
    const watcher = watch(join(file, ".."), () => done())
    const done = () => {
      if (!existsSync(file)) return
      watcher.close()
      resolve()
    }
    done()
  })
