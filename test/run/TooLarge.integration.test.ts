import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Latch } from "effect"
import { unavailableValue } from "../../src/domain/UnavailableValue.ts"
import * as CaptureObserver from "../../src/run/CaptureObserver.ts"
import { type CaptureUnderTest, disorder, envelope, finalState, withCapture } from "./CaptureFixture.ts"

const notes = {
  tables: "public.notes",
  ddl: "create table public.notes (id int primary key, body text, rest text); alter table public.notes replica identity full"
}

const topicOf = ({ topics: { prefix } }: CaptureUnderTest) => `${prefix}.public.notes`

/** Made by somebody who thinks that 20 kB are enough. */
const smallTopic = (capture: CaptureUnderTest, maxMessageBytes = 20_000) =>
  Effect.promise(() => capture.topics.create([{
    topic: topicOf(capture), numPartitions: 2,
    configEntries: [{ name: "cleanup.policy", value: "compact" }, { name: "max.message.bytes", value: String(maxMessageBytes) }]
  }]))

/** Text that does not compress, so that it is as large in Postgres. */
const insert = (from: number, to: number, bytes: number) =>
  `insert into public.notes select n, repeat(md5(n::text), ${bytes / 32}), 'short' from generate_series(${from}, ${to}) n`

const letters = (capture: CaptureUnderTest) => capture.read("public.notes.capture.dlq")
const rowOf = (capture: CaptureUnderTest, id: number) =>
  Effect.map(capture.read("public.notes"), (records) => finalState(records).get(`{"id":${id}}`))

describe("records that are too large for their topic", () => {
  it.live("come without what is large, from snapshot and stream, and are reported once, whatever is restarted", () =>
    withCapture({ ...notes }, (capture) =>
      Effect.gen(function*() {
        const counted = new Map<string, number>()
        const start = capture.start.pipe(Effect.provideService(CaptureObserver.CaptureObserver, {
          ...CaptureObserver.silent, deadLetters: (reason, records) => counted.set(reason, (counted.get(reason) ?? 0) + records)
        }))
        yield* smallTopic(capture)
        yield* capture.sql(`${insert(1, 2, 64_000)}; ${insert(3, 60, 3_200)}`)
        yield* capture.setup
        const first = yield* start
        yield* capture.caughtUp
        // A batch of small records is larger than the topic takes, too; and one transaction has several large ones.
        yield* capture.sql(`begin; ${insert(101, 103, 64_000)}; ${insert(104, 160, 3_200)}; update public.notes set rest = 'new' where id = 101; delete from public.notes where id = 102; commit`)
        yield* capture.caughtUp
        yield* capture.caughtUp // a send begins when what went before it is acknowledged and counted
        yield* Fiber.interrupt(first)
        yield* start
        yield* capture.sql(insert(201, 201, 64_000))
        yield* capture.caughtUp

        const records = yield* capture.read("public.notes")
        assert.deepStrictEqual(disorder(records), [])
        const state = finalState(records)
        assert.strictEqual(state.size, 60 + 60 - 1 + 1)
        assert.deepStrictEqual(state.get(`{"id":1}`), { id: 1, body: unavailableValue, rest: "short" })
        assert.deepStrictEqual(state.get(`{"id":101}`), { id: 101, body: unavailableValue, rest: "new" })
        assert.strictEqual(String(state.get(`{"id":3}`)!.body).length, 3_200)
        const marked = records.filter(({ headers }) => headers["__cdc.columns.too.large"] === "body")
        assert.deepStrictEqual(marked.map((record) => envelope(record).op).toSorted(), ["c", "c", "c", "c", "d", "r", "r", "u"])

        const reported = yield* letters(capture)
        assert.strictEqual(reported.length, marked.length)
        assert.isTrue(reported.every(({ headers, value }) => value === null && headers["__connect.errors.exception.class.name"] === "record-too-large"))
        assert.deepStrictEqual(
          reported.map(({ key }) => key!.toString()),
          [1, 2, 101, 102, 103, 101, 102, 201].map((id) => `{"id":${id}}`)
        )
        yield* capture.caughtUp
        assert.deepStrictEqual([...counted], [["record-too-large", reported.length]])
        const [row] = yield* capture.sql("select dead_letters::int from cdc.capture")
        assert.deepStrictEqual(row, { dead_letters: reported.length })
      })))

  it.live("are reported and left out where the key alone is too large", () =>
    withCapture({ tables: "public.notes", ddl: "create table public.notes (id text primary key, body text)" }, (capture) =>
      Effect.gen(function*() {
        yield* smallTopic(capture, 3_000)
        yield* capture.setup
        yield* capture.start
        yield* capture.sql("insert into public.notes values (repeat('x', 10000), ''), ('short', 'kept')")
        yield* capture.caughtUp
        assert.deepStrictEqual([...finalState(yield* capture.read("public.notes")).keys()], [`{"id":"short"}`])
        const [letter, ...more] = yield* letters(capture)
        assert.deepStrictEqual(more, [])
        assert.isNull(letter!.key)
        assert.strictEqual(letter!.headers["__connect.errors.exception.class.name"], "key-too-large")
      })))

  it.live("stop nothing if the topic's limit is lowered while they are on their way", () =>
    withCapture(notes, (capture) =>
      Effect.gen(function*() {
        yield* smallTopic(capture, 200_000)
        yield* capture.setup
        yield* capture.start
        yield* capture.sql(insert(1, 1, 64_000))
        yield* capture.caughtUp
        const gate = yield* Latch.make(false)
        const held = yield* Latch.make(false)
        capture.gate = () => Effect.andThen(held.open, gate.await)
        yield* capture.sql(insert(2, 2, 64_000))
        yield* held.await
        yield* Effect.promise(() => capture.topics.limit(topicOf(capture), 20_000))
        yield* gate.open
        yield* capture.caughtUp
        assert.strictEqual(String((yield* rowOf(capture, 1))!.body).length, 64_000)
        assert.strictEqual((yield* rowOf(capture, 2))!.body, unavailableValue)
        assert.strictEqual((yield* letters(capture)).length, 1)
      })))
})
