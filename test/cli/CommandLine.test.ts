import { spawn } from "node:child_process"
import { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { assert, describe, it } from "vitest"

const root = fileURLToPath(new URL("../..", import.meta.url))
const command = join(root, "bin/cdc")

/** Nothing listens on port 1. */
const nowhere = { DATABASE_URL: "postgres://somebody:secret@127.0.0.1:1/hub", KAFKA_BROKERS: "127.0.0.1:1" }

const cdc = (args: ReadonlyArray<string>, env: Record<string, string> = nowhere, program = command) =>
  new Promise<{ readonly code: number | null; readonly stdout: string; readonly stderr: string }>((resolve) => {
    const { PATH = "" } = process.env
    const child = spawn(program, args, { env: { PATH, ...env }, stdio: ["ignore", "pipe", "pipe"] })
    let [stdout, stderr] = ["", ""]
    child.stdout.on("data", (data) => stdout += data)
    child.stderr.on("data", (data) => stderr += data)
    child.on("close", (code) => resolve({ code, stdout, stderr }))
  })

/** In the order of a life cycle. */
const verbs = ["start", "setup", "run", "capture", "pipeline", "status", "verify", "teardown"]

describe.concurrent("the command line", { timeout: 60_000 }, () => { // a second each alone; the machine may be busy
  it("lists every verb, and the exit codes", async () => {
    const { code, stdout, stderr } = await cdc(["--help"], {})
    assert.strictEqual(code, 0)
    for (const verb of verbs) assert.match(stdout, new RegExp(`\\n  ${verb} `))
    assert.include(stdout, "Exit codes:")
    assert.strictEqual(stderr, "")
  })

  for (const [what, args, says] of [
    ["an unknown verb", ["nope"], "Unknown subcommand \"nope\""],
    ["an unknown flag", ["run", "--bogus"], "--bogus"],
    ["a missing argument", ["pipeline"], "name"],
    ["a pipeline that is none", ["pipeline", "nope"], "there is no such pipeline"],
    ["a teardown that nobody confirmed", ["teardown"], "cdc teardown --confirm"],
    ["a configuration file that is not there", ["status", "--config", "/nowhere/at-all.yaml"], "/nowhere/at-all.yaml"]
  ] as const) {
    it(`${what}: one line on stderr, exit 2`, async () => {
      const { code, stderr, stdout } = await cdc(args)
      assert.strictEqual(stdout, "")
      assert.match(stderr.trimEnd(), /^[^\n]+$/)
      assert.include(stderr, says)
      assert.strictEqual(code, 2)
    })
  }

  it("works from a directory whose name has what URLs spell otherwise", async () => {
    const parent = mkdtempSync(join(tmpdir(), "cdc-clone-"))
    try {
      const clone = join(parent, "my clone, 50% of é#1")
      mkdirSync(clone)
      for (const part of ["bin", "scripts", "src", "pipelines", "config", "patches", "package.json", "package-lock.json"]) cpSync(join(root, part), join(clone, part), { recursive: true })
      symlinkSync(join(root, "node_modules"), join(clone, "node_modules"))
      const { code, stderr } = await cdc(["setup"], nowhere, join(clone, "bin/cdc"))
      assert.match(stderr, /is Postgres up/)
      assert.strictEqual(code, 3)
    } finally {
      rmSync(parent, { recursive: true })
    }
  })

  it("a wrong option: named, exit 2", async () => {
    const file = join(tmpdir(), `cdc-wrong-${process.pid}.yaml`)
    writeFileSync(file, "publish:\n  compression: rar\n")
    const { code, stderr } = await cdc(["status", "--config", file])
    assert.strictEqual(code, 2)
    assert.match(stderr, /compression/)
  })

  it("setup without Postgres and Kafka: says what to check of both, no secret, exit 3", async () => {
    const { code, stderr, stdout } = await cdc(["setup"])
    assert.strictEqual(stdout, "")
    assert.match(stderr, /^2 things are in the way:\n- [^\n]*ECONNREFUSED[^\n]*: is Postgres up, and DATABASE_URL right\?\n- Kafka [^\n]*KAFKA_BROKERS right\?\n$/)
    assert.notInclude(stderr, "secret")
    assert.strictEqual(code, 3)
  })

  for (const verb of ["run", "status"]) {
    it(`${verb} without Postgres: one message that says what to check, no secret, exit 3`, async () => {
      const { code, stderr, stdout } = await cdc([verb])
      assert.strictEqual(stdout, "")
      assert.match(stderr, /^[^\n]*ECONNREFUSED[^\n]*is Postgres up, and DATABASE_URL right\?\n$/)
      assert.notInclude(stderr, "secret")
      assert.strictEqual(code, 3)
    })
  }
})
