import { describe, expect, it } from "vitest"
import { startCdc } from "../support/CdcProcess.ts"

const pooled = { DATABASE_URL: "postgres://app:hunter2@ep-cool-night-123-pooler.eu.neon.invalid/hub", KAFKA_BROKERS: "127.0.0.1:1" }

describe("a pooled endpoint, which has no replication", () => {
  it.concurrent.each(["run", "capture"])("is refused by cdc %s before anything is reached, with what to use instead", async (verb) => {
    const cdc = startCdc([verb], pooled)
    expect(await cdc.ended).toBe(3)
    expect(cdc.said().trim()).toBe(
      "DATABASE_URL points to a pooled endpoint (ep-cool-night-123-pooler.eu.neon.invalid), which has no replication: use the direct one, without \"-pooler\" in its host."
    )
  })
})
