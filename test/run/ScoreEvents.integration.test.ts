import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import * as EventMessage from "../../src/domain/EventMessage.ts"
import { disorder, envelope, withCapture } from "./CaptureFixture.ts"

const options = { tables: "public.orders", ddl: "create table public.orders (id int primary key)" }
const emit = (key: string, step: number) => {
  const content = EventMessage.encode({
    announced: { pipeline: "made", target: "public.made", key, told: JSON.stringify({ step }) }, topic: "bit-score-tier-changed", key: { outreach_id: key },
    attributes: { type: "t", subject: key, time: "2026-01-01T00:00:00.000000Z", dataschema: "urn:x", data: { step } }
  })
  return `select pg_logical_emit_message(true, '${EventMessage.prefix}', '${content}')`
}
const idOf = (value: Buffer | null) => JSON.parse(value!.toString()) as { readonly id: string; readonly source: string; readonly data: { readonly step: number } }

describe("events in the WAL", () => {
  it.live("are published once each, numbered within their transaction, however capture is interrupted; rows keep their ordinals", () =>
    withCapture(options, (capture) =>
      Effect.gen(function*() {
        yield* capture.setup
        const first = yield* capture.start
        yield* capture.caughtUp
        yield* capture.sql(`begin; ${emit("a", 1)}; insert into public.orders values (1); ${emit("b", 2)}; insert into public.orders values (2); ${emit("a", 3)}; commit`)
        yield* capture.sql(emit("b", 3))
        yield* capture.sql(`begin; ${emit("a", 99)}; rollback`)
        yield* capture.caughtUp
        // Killed between the transaction and its publication, and between publication and confirmation.
        capture.gate = (records) => records.some(({ topic }) => topic.includes(".events.")) ? Effect.never : Effect.void
        yield* capture.sql(`begin; ${emit("a", 4)}; insert into public.orders values (3); ${emit("b", 5)}; commit`)
        yield* Fiber.interrupt(first)
        capture.gate = () => Effect.void
        const second = yield* capture.start
        yield* capture.until(({ topic, value }) => topic.includes(".events.") && idOf(value).data.step === 5)
        yield* Fiber.interrupt(second)
        yield* capture.start
        yield* capture.sql(`select pg_logical_emit_message(true, '${EventMessage.prefix}', 'no event')`)
        yield* capture.caughtUp

        const events = yield* capture.read("events.bit-score-tier-changed")
        assert.deepStrictEqual(disorder(events), [])
        const steps = (key: string) => events.filter((event) => event.key!.toString() === `{"outreach_id":"${key}"}`).map(({ value }) => idOf(value).data.step)
        assert.deepStrictEqual([steps("a"), steps("b")], [[1, 3, 4], [2, 3, 5]])
        const ids = events.map(({ value }) => idOf(value).id)
        assert.deepStrictEqual(ids.map((id) => id.split(":")[2]).toSorted(), ["1", "1", "1", "2", "2", "3"])
        assert.strictEqual(new Set(ids).size, 6)
        assert.strictEqual(events[0]!.headers["content-type"], "application/cloudevents+json; charset=UTF-8")
        const rows = yield* capture.read("public.orders")
        assert.deepStrictEqual(disorder(rows), [])
        assert.deepStrictEqual(rows.map(({ value }) => envelope({ value }).transaction.total_order).toSorted(), [1, 1, 2])
      })))
})
