import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import * as EventMessage from "../../src/domain/EventMessage.ts"
import { Lsn } from "../../src/domain/Lsn.ts"
import * as RecordPosition from "../../src/publish/RecordPosition.ts"
import { encodeEvent, type EventEncoderOptions } from "../../src/publish/EventEncoder.ts"
import { bytesOf } from "../../src/publish/SendPlan.ts"

const options: EventEncoderOptions = {
  topicPrefix: "hub",
  topics: new Map([["hub.events.made", { partitions: 6, maxRecordBytes: 2_000, from: Lsn(100n) }]])
}
const position = { epoch: 2, commitLsn: Lsn(100n), order: 3 }
const message = (over: Partial<EventMessage.EventMessage> = {}): EventMessage.EventMessage => ({
  announced: { pipeline: "maker", target: "public.made", key: "7", told: "{\"a\":\"1\"}" },
  topic: "made",
  key: { id: "7" },
  attributes: { type: "hub.made", subject: "7", time: "2026-01-01T00:00:00.000000Z", dataschema: "urn:made:1", data: { a: "ü \"1\"" } },
  ...over
})
const encode = (content: EventMessage.EventMessage) => encodeEvent(options, EventMessage.encode(content), position)

describe("an event of the stream", () => {
  it("becomes a CloudEvent at its position, with what is remembered of it beside", () => {
    const record = encode(message())
    if (typeof record === "string") throw new Error(record)
    expect(JSON.parse(record.value!.toString())).toEqual({
      specversion: "1.0", id: "2:100:3", source: "/hub/maker", type: "hub.made", subject: "7", time: "2026-01-01T00:00:00.000000Z",
      datacontenttype: "application/json", dataschema: "urn:made:1", data: { a: "ü \"1\"" }
    })
    expect([record.topic, record.key!.toString()]).toEqual(["hub.events.made", "{\"id\":\"7\"}"])
    const headers = record.headers!.map(([name, value]) => [Buffer.from(name), Buffer.from(value)] as const)
    expect(RecordPosition.read(record.value, headers)).toEqual({ position, endsInDelete: false })
    expect(EventMessage.decodeAnnounced(record.headers!.find(([name]) => name === "__cdc.announced")![1])).toEqual(message().announced)
  })

  it("is left out, and why is said, where it has no topic, is too large, or is announced again", () => {
    expect(encode(message({ topic: "other" }))).toBe("event-without-topic")
    expect(encode(message({ attributes: { ...message().attributes, data: "x".repeat(2_000) } }))).toBe("event-too-large")
    expect(encodeEvent(options, EventMessage.encode(message()), { ...position, commitLsn: Lsn(99n) })).toBe("announced-again")
  })

  it("is never more than its topic takes, nor an error, whatever somebody has written under our prefix", () => {
    const nested = (depth: number) => `${"[".repeat(depth)}${"]".repeat(depth)}`
    const whole = EventMessage.encode(message())
    const mutilated = fc.tuple(fc.nat(whole.length), fc.nat(20), fc.string()).map(([at, gone, text]) => whole.slice(0, at) + text + whole.slice(at + gone))
    const deep = fc.constantFrom(100, 20_000).map((depth) => whole.replace("\"ü \\\"1\\\"\"", nested(depth)))
    const odd = fc.record({ announced: fc.anything(), topic: fc.anything(), key: fc.anything(), attributes: fc.anything() }).map((value) => JSON.stringify(value, (_, inner) => typeof inner === "bigint" ? String(inner) : inner))
    fc.assert(fc.property(fc.oneof(fc.string(), fc.json(), odd, mutilated, deep), (content) => {
      const record = encodeEvent(options, content, position)
      if (typeof record !== "string") expect(bytesOf(record)).toBeLessThanOrEqual(2_000)
    }), { numRuns: 1_000 })
  })
})

describe("what is remembered of an event", () => {
  it("is read back from its header, and nothing else is", () => {
    const { announced } = message()
    expect(EventMessage.decodeAnnounced(EventMessage.encodeAnnounced(announced))).toEqual(announced)
    for (const text of ["", "null", "7", "[]", "{", "{}", JSON.stringify({ ...announced, key: 7 }), JSON.stringify({ ...announced, told: "{" })]) {
      expect(EventMessage.decodeAnnounced(text)).toBeUndefined()
    }
  })
})
