import { describe, expect, it } from "vitest"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { startCdc } from "../support/CdcProcess.ts"

const reachable = { DATABASE_URL: "postgres://nobody@127.0.0.1:1/none", KAFKA_BROKERS: "127.0.0.1:1" }

/** Runs a verb with a configuration file of this text; one message, exit code 2, and nothing was connected to. */
const complaint = async (yaml: string, environment: Readonly<Record<string, string>> = {}): Promise<string> => {
  const directory = mkdtempSync(join(tmpdir(), "cdc-config-"))
  try {
    const file = join(directory, "cdc.yaml")
    writeFileSync(file, yaml)
    const cdc = startCdc(["status", "--config", file], { ...reachable, ...environment })
    expect(await cdc.ended).toBe(2)
    expect(cdc.said()).not.toMatch(/SchemaError|ConfigError|\n\s+at \S+ \(/)
    return cdc.said().trim()
  } finally {
    rmSync(directory, { recursive: true })
  }
}

describe("a wrong configuration is refused with what is wrong with it", () => {
  it.concurrent.each([
    ["a mistyped option", "kafka:\n  partitionz: 3\n", /kafka\.partitionz is not a section or option/],
    ["an option at the top", "partitions: 3\n", /partitions is not a section or option/],
    ["a list instead of sections", "- kafka\n", /it must have sections/],
    ["a value of the wrong type", "kafka:\n  partitions: many\n", /finite number at \["kafka"\]\["partitions"\]/]
  ])("%s", async (_, yaml, message) => {
    const said = await complaint(yaml)
    expect(said).toMatch(message)
    expect(said.split("\n")).toHaveLength(1)
  })

  it.concurrent("a DATABASE_URL that is none, without its password", async () => {
    const said = await complaint("", { DATABASE_URL: "localhost/hub?password=secret" })
    expect(said).toMatch(/^DATABASE_URL must be of the form postgres:/)
    expect(said).not.toContain("secret")
  })
})
