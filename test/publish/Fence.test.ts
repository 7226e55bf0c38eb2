import { type Base, kGetApi, ProtocolError } from "@platformatic/kafka"
import { Effect } from "effect"
import { describe, expect, it } from "vitest"
import * as Fence from "../../src/publish/Fence.ts"

/** A cluster that refuses every request as said; how often it was asked. */
const refusing = (id: string, times: number) => {
  const asked = { count: 0 }
  const request = async () => {
    if (asked.count++ < times) throw new ProtocolError(id)
    throw new ProtocolError("TRANSACTIONAL_ID_AUTHORIZATION_FAILED")
  }
  const client = {
    metadata: async () => ({ brokers: new Map([[1, {}]]), topics: new Map([["hub.a.b", { partitions: [{}] }]]) }),
    connections: { getFirstAvailable: async () => ({}) },
    [kGetApi]: (_: string, callback: (error: null, api: unknown) => void) => callback(null, { async: request })
  }
  return { asked, client: client as unknown as Base }
}

const raise = (client: Base) => Effect.runPromise(Effect.flip(Fence.make("hub.slot", ["hub.a.b"]).raise(client)))

describe("a fence that cannot be raised", () => {
  it("names the rights that are missing", async () => {
    const { reason, message } = await raise(refusing("", 0).client)
    expect(reason).toBe("forbidden")
    expect(message).toContain("Write and Describe on TransactionalId hub.slot (kafka-acls.sh --add --transactional-id hub.slot")
  })

  it("is tried again while the coordinator is only busy, and not after another process has raised it", async () => {
    const busy = refusing("CONCURRENT_TRANSACTIONS", 3)
    expect((await raise(busy.client)).reason).toBe("forbidden")
    expect(busy.asked.count).toBe(4)
    const fenced = refusing("PRODUCER_FENCED", 3)
    expect(await raise(fenced.client)).toMatchObject({ reason: "fenced", isRetryable: true })
    expect(fenced.asked.count).toBe(1)
  })
})
