import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Scope } from "effect"
import { envelope, withCapture } from "./CaptureFixture.ts"
import { assertConverged, hammer, hammered, isIncremental, rereading } from "./Rereading.ts"

const tiny = { snapshot: { chunkBytes: 3_000 } }

describe("a table read again", () => {
  it.live("under writers of the same rows ends as the table is, with no record older than one before it", () =>
    withCapture({ tables: "public.t", ddl: hammered(150), overrides: tiny }, (capture) =>
      Effect.gen(function*() {
        yield* capture.setup
        const { ask, finished } = yield* rereading(capture)
        yield* capture.start
        yield* capture.caughtUp
        yield* Effect.scoped(Effect.gen(function*() {
          yield* hammer(capture.database, 150)
          const { error, state } = yield* finished(yield* ask("public.t"))
          assert.deepStrictEqual({ error, state }, { error: null, state: "done" })
        }))
        yield* capture.caughtUp
        const reads = (yield* assertConverged(capture)).filter(isIncremental).map(envelope)
        assert.isAbove(new Set(reads.map(({ transaction }) => transaction.id)).size, 10, "chunks")
        assert.deepStrictEqual([...new Set(reads.map(({ op, source, transaction }) => `${op} ${source.txId} ${transaction.id.split(":")[0]}`))], ["r null 0"])
      })))

  it.live("goes on where it stood, however often capture is interrupted", () =>
    withCapture({ tables: "public.t", ddl: hammered(150), overrides: tiny }, (capture) =>
      Effect.gen(function*() {
        yield* capture.setup
        const { ask, finished } = yield* rereading(capture)
        yield* Effect.scoped(Effect.andThen(capture.start, Effect.andThen(capture.caughtUp, capture.caughtUp))) // the first may be in the snapshot
        const id = yield* ask("public.t") // while capture is down
        const writing = yield* Scope.fork(yield* Effect.scope)
        yield* Scope.provide(hammer(capture.database, 150), writing)
        for (let stop = 1; stop <= 4; stop++) {
          const before = capture.written.length
          const [noted] = yield* Effect.promise(() => capture.database.query<{ id: number | null }>("select last_key[1]::int as id from cdc.rereads where id = $1", [id]))
          const loop = yield* capture.start
          // In the third chunk, as the second is being noted, or a little later.
          const chunks = () => new Set(capture.written.slice(before).filter(isIncremental).map(({ position }) => position.commitLsn)).size
          yield* capture.until((record) => isIncremental(record) && chunks() > 2)
          yield* Effect.sleep(`${stop} millis`)
          yield* Fiber.interrupt(loop)
          const first = capture.written.slice(before).find(isIncremental)!
          assert.isAbove(Number(envelope(first).after!.id), noted!.id ?? -1)
          assert.isTrue(stop === 1 || noted!.id !== null)
        }
        yield* capture.start
        const { error, state } = yield* finished(id)
        assert.deepStrictEqual({ error, state }, { error: null, state: "done" })
        yield* Scope.close(writing, Exit.void)
        yield* capture.caughtUp
        yield* assertConverged(capture)
      })))

  it.live("stands one below its watermark, whose LSN may be that of the next commit", () =>
    withCapture({ tables: "public.t", ddl: hammered(20), overrides: tiny }, (capture) =>
      Effect.gen(function*() {
        yield* capture.setup
        const { ask, finished } = yield* rereading(capture)
        yield* capture.start
        yield* capture.caughtUp
        const { database } = capture
        yield* Effect.promise(() => database.query("select pg_create_logical_replication_slot($1, 'pgoutput')", [`${database.name}_seen`]))
        yield* finished(yield* ask("public.t"))
        const messages = yield* Effect.promise(() => database.query<{ lsn: string }>(`
          select (lsn - '0/0'::pg_lsn)::text as lsn from pg_logical_slot_peek_binary_changes($1, null, null,
            'proto_version', '1', 'publication_names', $2, 'messages', 'true') where position('cdc.watermark'::bytea in data) > 0`,
        [`${database.name}_seen`, `cdc_${database.name}`]))
        const watermarks = new Set(messages.map(({ lsn }) => BigInt(lsn)))
        const reads = capture.written.filter(isIncremental)
        assert.strictEqual(reads.length, 20)
        assert.isTrue(reads.every(({ position }) => watermarks.has(position.commitLsn + 1n)))
      })))
})
