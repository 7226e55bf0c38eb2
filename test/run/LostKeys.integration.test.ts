import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Fiber } from "effect"
import { requestRereads } from "../../src/run/RequestRereads.ts"
import * as TableWatch from "../../src/run/TableWatch.ts"
import { type CaptureUnderTest, envelope, isTheTable, withCapture } from "./CaptureFixture.ts"
import { startObserved } from "./ObservedGaps.ts"

const people = {
  tables: "public.people, public.pets, public.parted",
  ddl: `create table public.people (id int primary key, code text not null unique); insert into public.people select n, 'p' || n from generate_series(1, 20) n;
    create table public.pets (id int primary key);
    create table public.parted (id int primary key, code text not null) partition by range (id);
    create table public.part partition of public.parted for values from (0) to (100); create unique index part_code on public.part (code);
    insert into public.parted values (1, 'a'), (2, 'b')`
}
const leavesKeyOut = "alter table public.people replica identity using index people_code_key"
const restored = "alter table public.people replica identity default"

const readAgain = (capture: CaptureUnderTest, table = "public.people") => capture.provide(requestRereads([table], undefined))

const noted = (capture: CaptureUnderTest) =>
  Effect.map(capture.sql("select state, gap from cdc.captured_tables where table_name = 'public.people'"), ([row]) => row!)


describe("a table of which a change comes without its key", () => {
  const lossy: Readonly<Record<string, string>> = {
    "a delete": "delete from public.people where id <= 3",
    "a key that moves while the identity stays, of which Postgres sends no old row": "update public.people set id = 99 where id = 1",
    "a key that moves with the identity": "update public.people set id = 99, code = 'moved' where id = 1"
  }
  for (const [what, statement] of Object.entries(lossy)) {
    it.live(`${what}: has a gap, the others go on, and read again it is the table`, () =>
      withCapture(people, (capture) =>
        Effect.gen(function*() {
          const { fiber, gapOf, none } = yield* startObserved(capture)
          yield* capture.sql(leavesKeyOut, statement)
          const gap = yield* gapOf("public.people")
          assert.match(gap.why, /old key \(id\).*REPLICA IDENTITY leaves it out.*ALTER TABLE public\.people REPLICA IDENTITY DEFAULT/)
          assert.match(gap.remedy, /cdc snapshot public\.people/)
          const before = (yield* capture.read("public.people")).length
          yield* capture.sql("insert into public.people values (30, 'new')", "insert into public.pets values (1)")
          yield* capture.caughtUp
          assert.strictEqual((yield* capture.read("public.pets")).length, 1)
          assert.strictEqual((yield* capture.read("public.people")).length, before, "nothing of a table that has a gap")
          assert.match(String(yield* Effect.flip(readAgain(capture))), /leaves its key out.*REPLICA IDENTITY DEFAULT \(or FULL\) first/)

          yield* capture.sql(restored, "delete from public.people where id = 10")
          const cleared = yield* Effect.forkChild(none, { startImmediately: true })
          yield* readAgain(capture)
          yield* Fiber.join(cleared)
          yield* capture.sql("update public.people set code = 'later' where id = 11")
          yield* isTheTable(capture, "public.people")
          assert.isUndefined(fiber.pollUnsafe())
        })))
  }

  it.live("because a partition has another REPLICA IDENTITY than its root", () =>
    withCapture(people, (capture) =>
      Effect.gen(function*() {
        const { gapOf, none } = yield* startObserved(capture)
        yield* capture.sql("alter table public.part replica identity using index part_code", "delete from public.parted where id = 1")
        assert.match((yield* gapOf("public.parted")).why, /old key \(id\)/)
        yield* capture.sql("alter table public.part replica identity default")
        const cleared = yield* Effect.forkChild(none, { startImmediately: true })
        yield* readAgain(capture, "public.parted")
        yield* Fiber.join(cleared)
        yield* isTheTable(capture, "public.parted")
      })))

  it.live("is marked before that is confirmed to the slot, whatever is killed between, and what was asked for meanwhile covers it", () =>
    withCapture(people, (capture) =>
      Effect.gen(function*() {
        const { fiber, gapOf, none, observed } = yield* startObserved(capture)
        const held = yield* Deferred.make<void>()
        capture.gate = (records) => records.some(({ topic }) => topic.endsWith(".pets")) ? Effect.andThen(Deferred.succeed(held, undefined), Effect.never) : Effect.void
        yield* capture.sql(leavesKeyOut, "begin; delete from public.people where id = 1; insert into public.pets values (1); commit")
        yield* Deferred.await(held)
        assert.deepInclude(yield* noted(capture), { state: "gapped" })
        assert.deepStrictEqual(yield* capture.read("public.pets"), [])
        yield* Fiber.interrupt(fiber)

        // Again from before the change: what is noted stays, and nothing of the table is published.
        const published = (yield* capture.read("public.people")).length
        const again = yield* Effect.forkChild(gapOf("public.people"), { startImmediately: true })
        capture.gate = () => Effect.void
        const second = yield* observed(capture.start)
        yield* Fiber.join(again)
        yield* capture.sql(restored, "insert into public.people values (31, 'after')")
        yield* capture.caughtUp
        assert.strictEqual((yield* capture.read("public.people")).length, published)
        assert.strictEqual((yield* capture.read("public.pets")).length, 1) // it came once more: the slot was not confirmed past it
        yield* Fiber.interrupt(second)

        // Asked for while capture is away, which then finds one more such change on its way there.
        yield* capture.sql(leavesKeyOut, "delete from public.people where id = 2", restored)
        yield* readAgain(capture)
        const cleared = yield* Effect.forkChild(none, { startImmediately: true })
        yield* observed(capture.start)
        yield* Fiber.join(cleared)
        yield* isTheTable(capture, "public.people")
      })))

  it.live("though it has a key again before anybody looks", () =>
    withCapture(people, (capture) =>
      Effect.gen(function*() {
        const { fiber } = yield* startObserved(capture)
        yield* Fiber.interrupt(fiber)
        yield* Effect.provideService(capture.start, TableWatch.Pace, { checkMillis: 3_600_000, checksPerTopicCheck: 1 })
        yield* capture.caughtUp
        yield* capture.sql("alter table public.people drop column id, drop constraint people_code_key; alter table public.people replica identity full",
          "delete from public.people where code = 'p1'")
        yield* capture.caughtUp
        yield* capture.sql("alter table public.people add column id serial primary key; alter table public.people replica identity default")
        yield* capture.caughtUp
        const { gap, state } = yield* noted(capture)
        assert.deepStrictEqual([state, /no key any more/.test(String(gap))], ["gapped", true])
      })))
})

it.live("a key of which the configuration takes a column away is a gap, too", () =>
  withCapture({ ...people, overrides: { columns: { exclude: "public.people.code" } } }, (capture) =>
    Effect.gen(function*() {
      const { gapOf } = yield* startObserved(capture)
      yield* capture.sql("alter table public.people drop constraint people_pkey, add primary key (code)", "insert into public.people values (40, 'forty')")
      yield* gapOf("public.people")
      yield* capture.sql("insert into public.pets values (1)")
      yield* capture.caughtUp
      assert.isFalse(capture.written.some((record) => record.value !== null && JSON.stringify(envelope(record)).includes("forty")))
    })))
