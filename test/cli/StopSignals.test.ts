import { once } from "node:events"
import { spawn } from "node:child_process"
import { fileURLToPath } from "node:url"
import { describe, expect, it } from "vitest"
import { echoMillis, isImpatient } from "../../src/cli/StopSignals.ts"

const module = fileURLToPath(new URL("../../src/cli/StopSignals.ts", import.meta.url))

/** Says "up" once it listens and "heard" at each signal; stops in order as soon as a line comes. */
const patient = `
  const { listen } = await import(${JSON.stringify(module)})
  listen()
  process.on("SIGTERM", () => process.stdout.write("heard"))
  process.stdin.once("data", () => process.exit(0))
  process.stdout.write("up")`

describe("asking to stop", () => {
  it("is asking twice only after the echo's time", () => {
    expect(isImpatient(undefined, 0)).toBe(false)
    expect(isImpatient(1_000, 1_000)).toBe(false)
    expect(isImpatient(1_000, 1_000 + echoMillis - 1)).toBe(false)
    expect(isImpatient(1_000, 1_000 + echoMillis)).toBe(true)
  })

  it("a terminal that closes, told by the kernel and by the shell, ends it in order both times", async () => {
    const child = spawn(process.execPath, ["--input-type=module", "-e", patient], { stdio: ["pipe", "pipe", "inherit"] })
    await once(child.stdout, "data")
    child.kill("SIGHUP")
    await once(child.stdout, "data")
    child.kill("SIGHUP")
    await Promise.race([once(child.stdout, "data"), once(child, "exit")])
    child.stdin.on("error", () => {}) // it is gone, and the exit tells how
    child.stdin.end("stop\n")
    const signal = child.signalCode ?? (child.exitCode === null ? (await once(child, "exit"))[1] : null)
    expect(signal).toBeNull() // not killed by SIGHUP itself
  })
})
