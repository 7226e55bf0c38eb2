import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Latch, Queue } from "effect"
import type { CaptureError } from "../../src/capture/CaptureError.ts"
import * as Lsn from "../../src/domain/Lsn.ts"
import * as CaptureObserver from "../../src/run/CaptureObserver.ts"
import * as Setup from "../../src/run/Setup.ts"
import { slotOf } from "../support/TestConfig.ts"
import { createDatabase } from "../support/TestDatabase.ts"
import { connection } from "./Rereading.ts"
import { type CaptureUnderTest, disorder, envelope, finalState, withCapture } from "./CaptureFixture.ts"

const items = { tables: "public.items", ddl: "create table public.items (id int primary key, pad text)" }

/** How capture stops, and that plain `setup` does not paper over it, and that `setup --resnapshot` repairs it. */
const stopsFor = Effect.fnUntraced(function*(capture: CaptureUnderTest, running: Fiber.Fiber<never, unknown>, why: RegExp) {
  const stopped = (yield* Effect.flip(Fiber.join(running))) as CaptureError
  assert.deepStrictEqual([stopped.reason, stopped.exitCode], ["gap", 4], stopped.message)
  assert.match(stopped.message, why)
  assert.match(stopped.message, /cdc setup --resnapshot/)
  assert.match(String(yield* Effect.flip(capture.setup)), why)
  yield* capture.provide(Setup.resnapshot)
  const repaired = yield* capture.start
  yield* capture.caughtUp
  return repaired
})

const start = Effect.fnUntraced(function*(capture: CaptureUnderTest) {
  yield* capture.setup
  const running = yield* capture.start
  yield* capture.caughtUp
  return running
})

describe("the slot", () => {
  it.live("is not gone on with when somebody moved it, or made it again", () =>
    withCapture(items, (capture) =>
      Effect.gen(function*() {
        const slot = slotOf(capture.database.name)
        const first = yield* start(capture)
        yield* Fiber.interrupt(first)
        yield* capture.sql(hungUp(slot))
        yield* capture.sql("insert into public.items values (1)")
        yield* capture.sql(`select pg_replication_slot_advance('${slot}', pg_current_wal_lsn())`)
        const second = yield* stopsFor(capture, yield* capture.start, /beyond all that was confirmed .*somebody moved it/)
        yield* Fiber.interrupt(second)
        yield* capture.sql(hungUp(slot))
        yield* capture.sql("insert into public.items values (2)")
        yield* capture.sql(`select pg_drop_replication_slot('${slot}')`)
        yield* capture.sql(`select pg_create_logical_replication_slot('${slot}', 'pgoutput')`)
        yield* stopsFor(capture, yield* capture.start, /beyond all that was confirmed .*made it again/)
        assert.deepStrictEqual([...finalState(yield* capture.read("public.items")).keys()].sort(), ['{"id":1}', '{"id":2}'])
      })))

  it.live("is taken over as it stands by a version that keeps a journal", () =>
    withCapture(items, (capture) =>
      Effect.gen(function*() {
        yield* Fiber.interrupt(yield* start(capture))
        yield* Effect.promise(() => capture.topics.remove([`${capture.topics.prefix}.cdc.journal`]))
        yield* capture.sql("alter table cdc.capture drop column publication_xmin")
        const refused = yield* Effect.flip(Fiber.join(yield* capture.start))
        assert.match(refused.message, /cdc\.journal: run `cdc setup`/)
        yield* capture.setup
        yield* capture.start
        yield* capture.caughtUp
        const [entry] = yield* Effect.promise(() => capture.topics.readTopic(`${capture.topics.prefix}.cdc.journal`))
        const [known] = yield* capture.sql<{ oid: number; xmin: string }>("select oid, xmin::text from pg_publication")
        const { publication_oid: oid, publication_xmin: xmin } = JSON.parse(entry!.value!.toString())
        assert.deepStrictEqual({ oid, xmin }, known)
      })))

  it.live("may go between the look at it and its use: what became of it is said then", () =>
    withCapture(items, (capture) =>
      Effect.gen(function*() {
        const slot = slotOf(capture.database.name)
        yield* capture.setup
        const holder = yield* connection(capture.database)
        yield* Effect.promise(() => holder.query("begin; lock table cdc.capture in exclusive mode")) // takes no xid, which a new slot would wait for
        const running = yield* capture.start
        yield* capture.sql(untilSomebodyWaitsFor("cdc.capture"))
        yield* capture.sql(`select pg_drop_replication_slot('${slot}')`)
        yield* Effect.promise(() => holder.query("commit"))
        yield* stopsFor(capture, running, /Replication slot .* is gone/)
      })))

  it.live("stops capture within seconds when its publication is altered or dropped, though nothing is written", () =>
    withCapture(items, (capture) =>
      Effect.gen(function*() {
        const publication = slotOf(capture.database.name)
        const first = yield* start(capture)
        yield* capture.sql(`alter publication ${publication} set (publish = 'insert')`)
        const second = yield* stopsFor(capture, first, /was altered and publishes no update, delete, truncate/)
        yield* capture.sql(`drop publication ${publication}`)
        yield* stopsFor(capture, second, /publication.* is gone/i)
      })))

  it.live("goes on when its publication is given another owner, while it is read or not, and knows afterwards what it was then", () =>
    withCapture(items, (capture) =>
      Effect.gen(function*() {
        const publication = slotOf(capture.database.name)
        yield* capture.setup
        const session = yield* Queue.unbounded<void>()
        const observer = { ...CaptureObserver.silent, running: () => void Queue.offerUnsafe(session, undefined) }
        const running = yield* capture.start.pipe(Effect.provideService(CaptureObserver.CaptureObserver, observer))
        yield* Queue.take(session)
        yield* capture.sql(`alter publication ${publication} owner to pg_monitor`) // a role that every server has
        yield* Queue.take(session) // begun again, with what it has seen remembered
        yield* capture.sql("insert into public.items values (1)")
        yield* capture.caughtUp
        yield* Fiber.interrupt(running)

        yield* capture.sql(`alter publication ${publication} owner to current_user`, "insert into public.items values (2)")
        const second = yield* capture.start
        yield* capture.caughtUp
        assert.deepStrictEqual([...finalState(yield* capture.read("public.items")).keys()].sort(), ['{"id":1}', '{"id":2}'])
        yield* capture.sql(`alter publication ${publication} rename to elsewhere`, `alter publication elsewhere rename to ${publication}`)
        yield* stopsFor(capture, second, /Publication .* was altered/)
      })), 120_000)

  it.live("repairs from every instant at which setup --resnapshot can be killed, and nothing goes on in between", () =>
    withCapture(items, (capture) =>
      Effect.gen(function*() {
        const slot = slotOf(capture.database.name)
        yield* capture.sql("insert into public.items select n from generate_series(1, 20) n")
        let running = yield* start(capture)
        // What it has done when it is killed, by hand: the slot dropped; the publication, too; both made anew and nothing remembered.
        const instants = [
          [/is gone/, `select pg_drop_replication_slot('${slot}')`],
          [/is gone/, `select pg_drop_replication_slot('${slot}'); drop publication ${slot}`],
          [/beyond all|replaced|dropped and made again/, `select pg_drop_replication_slot('${slot}'); drop publication ${slot};
            create publication ${slot} for table public.items, public.fence; select pg_create_logical_replication_slot('${slot}', 'pgoutput')`]
        ] as const
        for (const [index, [why, done]] of instants.entries()) {
          yield* Fiber.interrupt(running)
          yield* capture.sql(hungUp(slot))
          for (const statement of done.split(";")) yield* capture.sql(statement)
          yield* capture.sql(`delete from public.items where id = ${index + 1}`)
          running = yield* stopsFor(capture, yield* capture.start, why)
        }
        const records = yield* capture.read("public.items")
        assert.deepStrictEqual(disorder(records), [])
        assert.strictEqual(Math.max(...records.map((record) => record.value === null ? 0 : envelope(record).source.epoch)), 4)
        yield* sweptBy(capture)
        assert.strictEqual(finalState(yield* capture.read("public.items")).size, 17)
      })), 120_000)

  it.live("is made anew without its publication, which others may use: that is completed, and keeps what else it has", () =>
    withCapture({ ...items, ddl: `${items.ddl}; create table public.others (id int primary key)` }, (capture) =>
      Effect.gen(function*() {
        const publication = slotOf(capture.database.name)
        const running = yield* start(capture)
        yield* capture.sql(`alter publication ${publication} set table public.items (id) where (id > 5), public.others`)
        yield* capture.sql(`alter publication ${publication} set (publish = 'insert', publish_via_partition_root = false)`)
        const oid = "select oid, pubupdate and pubdelete and pubtruncate and pubviaroot as whole from pg_publication"
        const [before] = yield* capture.sql(oid)
        yield* Effect.flip(Fiber.join(running))
        const lines = yield* capture.provide(Setup.resnapshot)
        assert.match(lines.join("\n"), /publication .*: kept, since others may read by it; altered: what it publishes of each table; has all of public\.items, public\.fence now/)
        assert.deepStrictEqual(yield* capture.sql(oid), [{ ...before, whole: true }])
        assert.deepStrictEqual(yield* capture.sql("select tablename, attnames::text, rowfilter from pg_publication_tables order by 1"), [
          { tablename: "fence", attnames: "{id}", rowfilter: null },
          { tablename: "items", attnames: "{id,pad}", rowfilter: null },
          { tablename: "others", attnames: "{id}", rowfilter: null }
        ])
        assert.match((yield* capture.provide(Setup.resnapshot)).join("\n"), /kept, since others may read by it; it publishes all that it should/)
        yield* capture.sql("insert into public.items values (1, 'x')")
        yield* capture.start
        yield* capture.caughtUp
        assert.deepStrictEqual([...finalState(yield* capture.read("public.items")).values()], [{ id: 1, pad: "x" }])
      })))

  it.live("is taken from a capture that still runs, which writes nothing more of its epoch", () =>
    withCapture(items, (capture) =>
      Effect.gen(function*() {
        const first = yield* start(capture)
        const writing = yield* Effect.forkChild(Effect.forEach(Array.from({ length: 40 }, (_, n) => n), (n) =>
          capture.sql(`insert into public.items select ${n} * 1000 + m, 'x' from generate_series(1, 500) m; delete from public.items where id = ${n} * 1000 + 1`)))
        yield* capture.until((record) => record.topic.endsWith(".items"))
        yield* capture.provide(Setup.resnapshot)
        // It saw the slot gone and stopped, or came back when there was a new one, and goes on under the new epoch.
        const stopped = yield* Effect.timeoutOption(Effect.flip(Fiber.join(first)), "3 seconds")
        if (stopped._tag === "Some") assert.match(stopped.value.message, /cdc setup --resnapshot/)
        if (stopped._tag === "Some") yield* capture.start
        yield* Fiber.join(writing)
        yield* capture.caughtUp
        yield* sweptBy(capture)
        const records = yield* capture.read("public.items")
        assert.deepStrictEqual(disorder(records), [])
        assert.deepStrictEqual(new Set(records.flatMap((record) => record.value === null ? [] : [envelope(record).source.epoch])), new Set([1, 2]))
        assert.strictEqual(finalState(records).size, 40 * 499)
      })), 120_000)

  it.live("moves, and lets WAL go, while only other databases and unpublished tables write", () =>
    withCapture({ ...items, ddl: `${items.ddl}; create table public.unpublished (id int, pad text)` }, (capture) =>
      Effect.gen(function*() {
        yield* start(capture)
        const other = yield* Effect.acquireRelease(Effect.promise(() => createDatabase()), (database) => Effect.promise(database.drop))
        yield* Effect.promise(() => other.query("create table busy (id int, pad text)"))
        const look = Effect.promise(() => capture.database.query<{ confirmed: string; restart: string; now: string }>(`
          select confirmed_flush_lsn::text as confirmed, restart_lsn::text as restart, pg_current_wal_lsn()::text as now
          from pg_replication_slots where slot_name = $1`, [slotOf(capture.database.name)])).pipe(Effect.map(([row]) => row!))
        const published = (yield* capture.read("public.fence")).length
        const before = yield* look
        for (let round = 0; round < 5; round++) {
          yield* Effect.promise(() => other.query("insert into busy select n, repeat('x', 1000) from generate_series(1, 4000) n"))
          yield* capture.sql("insert into public.unpublished select n, repeat('x', 1000) from generate_series(1, 4000) n")
          // What the server does by itself every 15 s and every checkpoint_timeout.
          yield* capture.sql("select pg_log_standby_snapshot()")
          yield* capture.sql("checkpoint")
          yield* capture.sql("select pg_sleep(0.3)")
        }
        const after = yield* look
        const written = Lsn.parse(after.now) - Lsn.parse(before.now)
        const retained = Lsn.parse(after.now) - Lsn.parse(after.restart)
        assert.isTrue(written > 40_000_000n, `${written} bytes of WAL were written`)
        assert.isTrue(Lsn.parse(after.confirmed) > Lsn.parse(before.now), "the confirmed position has moved")
        assert.isTrue(retained < written / 3n, `${retained} bytes of ${written} are retained`)
        assert.strictEqual((yield* capture.read("public.fence")).length, published)
      })), 120_000)

  it.live("is taken over within seconds by a process that stands by, from where the other one stood", () =>
    withCapture(items, (capture) =>
      Effect.gen(function*() {
        const first = yield* start(capture)
        const standing = yield* Latch.make(false)
        const running = yield* Latch.make(false)
        const observer = { ...CaptureObserver.silent, standingBy: () => void standing.openUnsafe(), running: () => void running.openUnsafe() }
        yield* capture.start.pipe(Effect.provideService(CaptureObserver.CaptureObserver, observer))
        yield* standing.await
        const began = Date.now()
        yield* Fiber.interrupt(first)
        yield* running.await
        assert.isBelow(Date.now() - began, 5_000)
        yield* capture.caughtUp
        assert.deepStrictEqual(disorder(yield* capture.read("public.fence")), [])
      })))
})

/** Its walsender may still be on its way out; this waits until it is gone. */
const hungUp = (slot: string): string =>
  `select pg_terminate_backend(active_pid, 5000) from pg_replication_slots where slot_name = '${slot}' and active_pid is not null`

const untilSomebodyWaitsFor = (table: string): string => `
  do $$ begin
    while not exists (select from pg_locks where not granted and relation = '${table}'::regclass) loop perform pg_sleep(0.01); end loop;
  end $$`

/** Until no sweep is under way. */
const sweptBy = (capture: CaptureUnderTest) =>
  Effect.gen(function*() {
    for (;;) {
      const [row] = yield* capture.sql<{ open: number }>("select count(*)::int as open from cdc.rereads where state in ('waiting', 'reading', 'sweeping')")
      if (row!.open === 0) return
      yield* capture.sql("select pg_sleep(0.1)")
    }
  })
