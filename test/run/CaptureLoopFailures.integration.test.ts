import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Latch } from "effect"
import type { CaptureError } from "../../src/capture/CaptureError.ts"
import * as Lsn from "../../src/domain/Lsn.ts"
import type { PublishError } from "../../src/publish/PublishError.ts"
import * as CaptureObserver from "../../src/run/CaptureObserver.ts"
import * as Setup from "../../src/run/Setup.ts"
import { disorder, envelope, finalState, withCapture } from "./CaptureFixture.ts"

const items = { tables: "public.items", ddl: "create table public.items (id int primary key, pad text)" }

const slotOf = (name: string) => `cdc_${name}`

describe("capture under failures", () => {
  it.live("confirms nothing that Kafka has not acknowledged, and keeps the connection while Kafka stalls", () =>
    withCapture({ ...items, overrides: { source: { walSenderTimeoutSeconds: 1, statusIntervalSeconds: 0.3, maxBufferedBytes: 200_000 } } }, (capture) =>
      Effect.gen(function*() {
        yield* capture.setup
        yield* capture.start
        yield* capture.caughtUp
        const gate = yield* Latch.make(false)
        const stalled = yield* Latch.make(false)
        capture.gate = () => Effect.andThen(stalled.open, gate.await)
        const { database } = capture
        const look = Effect.promise(() => database.query<{ pid: number; confirmed: string }>(
          "select active_pid as pid, confirmed_flush_lsn::text as confirmed from pg_replication_slots where slot_name = $1", [slotOf(database.name)]))
        const [before] = yield* look
        // A transaction that is received whole, to its commit; and 1 MB and more: beyond what may be buffered, so the socket is paused.
        yield* capture.sql("insert into public.items values (0, '')")
        yield* Effect.promise(() => database.query("insert into public.items select n, repeat('x', 500) from generate_series(1, 12000) n"))
        yield* stalled.await
        // Three wal_sender_timeouts, by the server's own clock.
        yield* Effect.promise(() => database.query("select pg_sleep(3)"))
        const [during] = yield* look
        yield* gate.open
        yield* capture.caughtUp
        const records = yield* capture.read("public.items")
        assert.deepStrictEqual(disorder(records), [])
        assert.strictEqual(records.length, 12_001)
        assert.strictEqual(during!.pid, before!.pid)
        const transaction = capture.written.find((record) => record.topic.endsWith(".items"))!.position
        assert.isTrue(Lsn.parse(during!.confirmed) <= transaction.commitLsn)
      })))

  it.live("goes on by itself when the server hangs up", () =>
    withCapture(items, (capture) =>
      Effect.gen(function*() {
        yield* capture.setup
        yield* capture.start
        yield* capture.caughtUp
        const hangUp = () => capture.database.query(
          "select pg_terminate_backend(active_pid, 5000) from pg_replication_slots where slot_name = $1", [slotOf(capture.database.name)])
        for (let round = 0; round < 3; round++) {
          yield* capture.sql(`insert into public.items select n, '' from generate_series(${round * 1000 + 1}, ${round * 1000 + 1000}) n`)
          yield* Effect.promise(hangUp)
        }
        yield* capture.caughtUp
        const records = yield* capture.read("public.items")
        assert.deepStrictEqual(disorder(records), [])
        assert.strictEqual(records.length, 3_000)
      })))

  it.live("a transaction far larger than the buffer flows through, and can be cut anywhere", () =>
    withCapture({ ...items, overrides: { source: { maxBufferedBytes: 100_000 } } }, (capture) =>
      Effect.gen(function*() {
        yield* capture.setup
        const first = yield* capture.start
        yield* capture.caughtUp
        yield* capture.sql("insert into public.items select n, repeat('y', 100) from generate_series(1, 40000) n")
        yield* capture.until((record) => record.topic.endsWith(".items"))
        yield* Fiber.interrupt(first)
        yield* capture.start
        yield* capture.caughtUp
        const records = yield* capture.read("public.items")
        assert.deepStrictEqual(disorder(records), [])
        assert.strictEqual(records.length, 40_000)
        assert.strictEqual(new Set(records.map((record) => envelope(record).transaction.total_order)).size, 40_000)
      })))

  it.live("a second capture waits for the slot and takes over", () =>
    withCapture(items, (capture) =>
      Effect.gen(function*() {
        yield* capture.setup
        const first = yield* capture.start
        yield* capture.caughtUp
        const standing = yield* Latch.make(false)
        const observer = { ...CaptureObserver.silent, standingBy: () => void standing.openUnsafe() }
        const second = yield* capture.start.pipe(Effect.provideService(CaptureObserver.CaptureObserver, observer))
        yield* standing.await
        yield* Fiber.interrupt(first)
        yield* capture.caughtUp
        assert.isUndefined(second.pollUnsafe())
        assert.deepStrictEqual(disorder(yield* capture.read("public.fence")), [])
        const [fences] = yield* capture.sql<{ rows: number }>("select count(*)::int as rows from public.fence")
        assert.strictEqual(finalState(yield* capture.read("public.fence")).size, fences!.rows)
      })))

  it.live("stops when the slot is gone, when the publication is another one, when a topic has other partitions", () =>
    withCapture(items, (capture) =>
      Effect.gen(function*() {
        const notSetUp = (yield* Effect.flip(Fiber.join(yield* capture.start))) as CaptureError
        assert.deepStrictEqual([notSetUp.reason, notSetUp.exitCode], ["notSetUp", 3])
        yield* capture.setup
        const slot = slotOf(capture.database.name)

        yield* capture.sql(`alter publication ${slot} rename to kept`)
        yield* capture.sql(`create publication ${slot} for table public.items`)
        const replaced = (yield* Effect.flip(Fiber.join(yield* capture.start))) as CaptureError
        assert.deepStrictEqual([replaced.reason, replaced.exitCode], ["gap", 4])
        yield* capture.sql(`drop publication ${slot}`)
        yield* capture.sql(`alter publication kept rename to ${slot}`)
        const renamed = (yield* Effect.flip(Fiber.join(yield* capture.start))) as CaptureError
        assert.match(renamed.message, /was altered/) // what committed while it had another name was not decoded
        yield* capture.provide(Setup.resnapshot)

        const topic = `${capture.topics.prefix}.public.items`
        yield* Effect.promise(() => capture.topics.admin.createPartitions({ topicPartitions: [{ topic, count: 3 }] }))
        const repartitioned = (yield* Effect.flip(Fiber.join(yield* capture.start))) as PublishError
        assert.deepStrictEqual([repartitioned.reason, repartitioned.exitCode], ["partitionsChanged", 4])

        yield* capture.sql(`select pg_drop_replication_slot('${slot}')`)
        const gone = (yield* Effect.flip(Fiber.join(yield* capture.start))) as CaptureError
        assert.strictEqual(gone.exitCode, 4)
        assert.match(gone.message, /cdc setup --resnapshot/)
        assert.match(String(yield* Effect.flip(capture.setup)), /cdc setup --resnapshot/)
      })))
})
