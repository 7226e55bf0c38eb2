import { execFile } from "node:child_process"
import { fileURLToPath } from "node:url"
import { promisify } from "node:util"
import { expect, it } from "vitest"

const root = fileURLToPath(new URL("..", import.meta.url))

/** What the program says; empty if it found nothing. */
const findings = async (program: string, ...parameters: ReadonlyArray<string>): Promise<string> => {
  try {
    await promisify(execFile)(process.execPath, [`${root}/node_modules/${program}`, ...parameters], { cwd: root })
    return ""
  } catch (error) {
    return (error as { stdout: string }).stdout || String(error)
  }
}

it("type-checks", { timeout: 120_000 }, async () => {
  expect(await findings("typescript/bin/tsc", "--noEmit")).toBe("")
})

it("gives the linter nothing to say", { timeout: 60_000 }, async () => {
  expect(await findings("oxlint/bin/oxlint", "--format=unix")).toBe("")
})
