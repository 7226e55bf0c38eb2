import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { disorder, envelope, finalState, withCapture } from "./CaptureFixture.ts"

const orders = {
  tables: "public.orders",
  ddl: "create table public.orders (id int primary key, state text not null, note text)"
}

const many = (from: number, to: number) =>
  `insert into public.orders select n, 'new', 'order ' || n from generate_series(${from}, ${to}) n`

describe("the capture loop", () => {
  it.live("publishes what is there, then what changes, each once and in order", () =>
    withCapture(orders, (capture) =>
      Effect.gen(function*() {
        yield* capture.sql(many(1, 5))
        yield* capture.setup
        yield* capture.start
        yield* capture.until((record) => record.topic.endsWith(".orders"))
        yield* capture.sql(
          "update public.orders set state = 'sent' where id = 1; delete from public.orders where id = 2; update public.orders set id = 30 where id = 3")
        yield* capture.caughtUp
        const records = yield* capture.read("public.orders")
        assert.deepStrictEqual(disorder(records), [])
        const marks = records.filter((record) => record.value !== null && envelope(record).op === "r").map((record) => envelope(record).source.snapshot)
        assert.deepStrictEqual(marks.toSorted(), ["first", "last", "true", "true", "true"])
        assert.deepStrictEqual([...finalState(records).keys()].toSorted(), ["{\"id\":1}", "{\"id\":30}", "{\"id\":4}", "{\"id\":5}"])
        const streamed = capture.written.filter((record) => record.value !== null).map(envelope).filter(({ op }) => op !== "r" )
        assert.deepStrictEqual(
          streamed.map(({ op, transaction }) => [op, transaction.total_order, transaction.data_collection_order]),
          [["u", 1, 1], ["d", 2, 2], ["d", 3, 3], ["c", 4, 4], ["c", 1, 1]]
        )
      })))

  it.live("stops and goes on without loss or repetition, in the middle of a snapshot and of the stream", () =>
    withCapture({ ...orders, overrides: { publish: { batchBytes: 20_000 } } }, (capture) =>
      Effect.gen(function*() {
        yield* capture.sql(many(1, 20_000))
        yield* capture.setup
        const first = yield* capture.start
        yield* capture.until((record) => record.topic.endsWith(".orders"))
        yield* Fiber.interrupt(first)
        const before = capture.written.length
        assert.isBelow(before, 20_000)
        yield* capture.sql("delete from public.orders where id % 3 = 0; update public.orders set state = 'sent' where id % 3 = 1")
        const second = yield* capture.start
        yield* capture.until((record) => record.value !== null && envelope(record).op === "u")
        yield* Fiber.interrupt(second)
        yield* capture.sql(many(20_001, 20_100))
        yield* capture.start
        yield* capture.caughtUp
        const records = yield* capture.read("public.orders")
        assert.deepStrictEqual(disorder(records), [])
        const rows = yield* capture.sql<{ id: number; state: string }>("select id, state from public.orders")
        const final = finalState(records)
        assert.strictEqual(final.size, rows.length)
        for (const { id, state } of rows) assert.strictEqual(final.get(`{"id":${id}}`)?.state, state)
      })))
})
