import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Latch, type Scope } from "effect"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import * as Rereads from "../../src/capture/Rereads.ts"
import { AppConfig } from "../../src/Config.ts"
import { sqlOn } from "../../src/connections/Postgres.ts"
import * as TableName from "../../src/domain/TableName.ts"
import * as EmbeddedPostgres from "../../src/embedded/EmbeddedPostgres.ts"
import type { OwnDatabase } from "../support/TestDatabase.ts"
import { type CaptureUnderTest, envelope, finalState, withCapture } from "./CaptureFixture.ts"
import { connection, type FinishedReread, isIncremental, rereading } from "./Rereading.ts"

/** A server whose commits wait for a standby that is not there, where a session asks for that. */
const withoutItsStandby = Effect.gen(function*() {
  const directory = yield* Effect.acquireRelease(
    Effect.sync(() => mkdtempSync(join(tmpdir(), "cdc-standby-"))),
    (directory) => Effect.sync(() => rmSync(directory, { recursive: true, force: true }))
  )
  const { databaseUrl } = yield* EmbeddedPostgres.start({
    directory, database: "postgres", settings: { synchronous_standby_names: "absent", synchronous_commit: "local", fsync: "off" }
  })
  return databaseUrl
})

/** Commits a change of one row, which is then in the WAL, and waits for the standby. */
const changeUnseen = Effect.fnUntraced(function*(database: OwnDatabase, id: number): Effect.fn.Return<void, never, Scope.Scope> {
  const writer = yield* connection(database)
  yield* Effect.promise(() => writer.query("set synchronous_commit = on"))
  yield* Effect.sync(() => void writer.query("update public.t set v = 'new' where id = $1", [id]).catch(() => {}))
  yield* Effect.promise(() => database.query(untilCommitWaits))
})

const untilCommitWaits = `
  do $$ begin
    while not exists (select from pg_stat_activity where wait_event = 'SyncRep') loop
      perform pg_sleep(0.01);
      perform pg_stat_clear_snapshot();
    end loop;
  end $$`

/** Asks for a re-read in a transaction that is in the WAL, and waits for the standby. */
const askUnseen = Effect.fnUntraced(function*(capture: CaptureUnderTest, table: string): Effect.fn.Return<Fiber.Fiber<bigint, unknown>, never, Scope.Scope> {
  const client = yield* connection(capture.database)
  yield* Effect.promise(() => client.query("set synchronous_commit = on"))
  const { source } = yield* capture.provide(AppConfig)
  const rereads = Rereads.make(source.stateSchema, source.slot)
  const asked = yield* Effect.forkScoped(rereads.request(sqlOn(client), { table: TableName.parse(table), sweep: false, reason: "asked" }))
  yield* Effect.promise(() => capture.database.query(untilCommitWaits))
  return asked
})

const letItBeSeen = (database: OwnDatabase) =>
  Effect.promise(() => database.query("select pg_cancel_backend(pid) from pg_stat_activity where wait_event = 'SyncRep'"))

const ddl = "create table public.t (id int primary key, v text); insert into public.t select n, 'old' from generate_series(1, 40) n"

describe("a transaction that is published already and can't be seen yet", () => {
  it.live("is not overwritten by the row of before: the chunk is read again until it sees it", () =>
    Effect.scoped(Effect.gen(function*() {
      const server = yield* withoutItsStandby
      yield* withCapture({ server, tables: "public.t", ddl, overrides: { snapshot: { chunkBytes: 6_000 } } }, (capture) =>
        Effect.gen(function*() {
          yield* capture.setup
          const { ask, delayed, finished } = yield* rereading(capture)
          const reading = yield* Latch.make(false)
          const goOn = yield* Latch.make(false)
          capture.gate = (records) => records.some(isIncremental) ? Effect.andThen(reading.open, goOn.await) : Effect.void
          yield* capture.start
          yield* capture.caughtUp
          const id = yield* ask("public.t")
          yield* reading.await // the first chunk; none of the later ones has begun
          yield* changeUnseen(capture.database, 40)
          yield* goOn.open
          yield* delayed(id)
          yield* letItBeSeen(capture.database)
          yield* assertRead(capture, yield* finished(id), 40)
        }))
    })))

  it.live("although an earlier process published it: the re-read waits for its end", () =>
    Effect.scoped(Effect.gen(function*() {
      const server = yield* withoutItsStandby
      yield* withCapture({ server, tables: "public.t", ddl }, (capture) =>
        Effect.gen(function*() {
          yield* capture.setup
          const { ask, delayed, finished } = yield* rereading(capture)
          const first = yield* capture.start
          yield* capture.caughtUp
          yield* changeUnseen(capture.database, 7)
          yield* capture.until((record) => record.value !== null && envelope(record).after?.v === "new")
          yield* capture.caughtUp
          yield* Fiber.interrupt(first)
          const id = yield* ask("public.t")
          yield* capture.start
          yield* delayed(id)
          yield* letItBeSeen(capture.database)
          yield* assertRead(capture, yield* finished(id), 7)
        }))
    })))
})

describe("a request whose transaction can't be seen yet when the stream has brought it", () => {
  for (const between of ["by the same process", "by an earlier process"]) {
    it.live(`is taken up once it can, though it was brought ${between}`, () =>
      Effect.scoped(Effect.gen(function*() {
        const server = yield* withoutItsStandby
        yield* withCapture({ server, tables: "public.t", ddl }, (capture) =>
          Effect.gen(function*() {
            yield* capture.setup
            const { finished } = yield* rereading(capture)
            const first = yield* capture.start
            yield* capture.caughtUp
            const asked = yield* askUnseen(capture, "public.t")
            yield* capture.caughtUp // and so the stream has brought it
            if (between === "by an earlier process") {
              yield* Fiber.interrupt(first)
              yield* capture.start
              yield* capture.caughtUp
            }
            yield* letItBeSeen(capture.database)
            assertDone(yield* finished(yield* Fiber.join(asked)))
          }))
      })))
  }
})

const assertDone = ({ error, state }: FinishedReread) => assert.deepStrictEqual({ error, state }, { error: null, state: "done" })

const assertRead = Effect.fnUntraced(function*({ read }: CaptureUnderTest, reread: FinishedReread, changed: number) {
  assertDone(reread)
  const news = [...finalState(yield* read("public.t")).values()].filter(({ v }) => v === "new")
  assert.deepStrictEqual(news.map(({ id }) => id), [changed])
})
