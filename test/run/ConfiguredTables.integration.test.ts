import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { AppConfig } from "../../src/Config.ts"
import * as Setup from "../../src/run/Setup.ts"
import { type CaptureUnderTest, finalState, withCapture } from "./CaptureFixture.ts"
import { rereading } from "./Rereading.ts"

const two = { tables: "public.a", ddl: "create table public.a (id int primary key); insert into public.a values (1), (2)" }

const query = (capture: CaptureUnderTest, statement: string) => capture.sql<{ id: string }>(statement)

/** Runs `effect` as a process would whose configuration lacks the table. */
const withoutTable = <A, E, R>(capture: CaptureUnderTest, effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.gen(function*() {
    const { source } = yield* Effect.orDie(capture.provide(Effect.gen(function*() { return yield* AppConfig })))
    const configured = source.tables as Array<(typeof source.tables)[number]>
    const all = [...configured]
    const set = (tables: typeof all) => Effect.sync(() => void configured.splice(0, configured.length, ...tables))
    return yield* Effect.acquireUseRelease(set(all.filter(({ table }) => table !== "a")), () => effect, () => set(all))
  })

/** A whole life of a capture, up to the stream's end. */
const captured = (capture: CaptureUnderTest, meanwhile: Effect.Effect<unknown> = Effect.void) =>
  Effect.scoped(Effect.gen(function*() {
    const loop = yield* capture.start
    yield* capture.caughtUp
    yield* meanwhile
    yield* capture.caughtUp
    yield* Fiber.interrupt(loop)
  }))

/** Every re-read that was asked for. */
const allFinished = Effect.fnUntraced(function*(capture: CaptureUnderTest) {
  const { finished } = yield* rereading(capture)
  for (const { id } of yield* query(capture, "select id from cdc.rereads order by id")) yield* finished(BigInt(id))
})

const expectTopicToBeTable = Effect.fnUntraced(function*(capture: CaptureUnderTest) {
  const rows = yield* query(capture, "select id from public.a order by id")
  const topic = [...finalState(yield* capture.read("public.a")).keys()].sort()
  assert.deepStrictEqual(topic, rows.map(({ id }) => JSON.stringify({ id })).sort())
})

describe("a table that leaves the configuration and comes back", () => {
  it.live("is read again, and what was deleted meanwhile is deleted in its topic", () =>
    withCapture(two, (capture) =>
      Effect.gen(function*() {
        yield* capture.setup
        yield* captured(capture)
        yield* withoutTable(capture, captured(capture, query(capture, "insert into public.a values (3); delete from public.a where id = 1")))
        const lines = yield* capture.setup
        assert.match(lines.join("\n"), /re-reads: asked for public\.a/)
        yield* capture.start
        yield* allFinished(capture)
        yield* expectTopicToBeTable(capture)
      })))

  it.live("is refused by a capture that was started before `cdc setup`", () =>
    withCapture(two, (capture) =>
      Effect.gen(function*() {
        yield* withoutTable(capture, Effect.andThen(capture.setup, captured(capture)))
        const refusal = yield* Effect.flip(Effect.scoped(Effect.flatMap(capture.start, Fiber.join)))
        assert.match(refusal.message, /public\.a|cdc setup/)
        assert.strictEqual(refusal.isRetryable, false)
      })))

  it.live("keeps its rows if it was left out when everything was read again", () =>
    withCapture(two, (capture) =>
      Effect.gen(function*() {
        yield* capture.setup
        yield* captured(capture)
        yield* capture.provide(Setup.resnapshot)
        yield* withoutTable(capture, captured(capture))
        yield* capture.setup
        yield* capture.start
        yield* allFinished(capture)
        yield* expectTopicToBeTable(capture)
      })))
})
