import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import * as TableName from "../../src/domain/TableName.ts"
import * as TableRepair from "../../src/run/TableRepair.ts"
import { type CaptureUnderTest, disorder, envelope, finalState, withCapture } from "./CaptureFixture.ts"
import { startObserved } from "./ObservedGaps.ts"

const table = (columns: string, more = "") => ({ tables: "public.t", ddl: `create table public.t (${columns}); ${more}` })

/** What the stream published of the table, in order: the new row, or the operation and the key where there is none. */
const published = Effect.fnUntraced(function*(capture: CaptureUnderTest) {
  yield* capture.caughtUp
  return capture.written.filter(({ topic, value }) => topic.endsWith(".public.t") && value !== null)
    .map((record) => envelope(record).after ?? `${envelope(record).op} ${record.key}`)
})

describe("a table that changes while it is streamed", () => {
  it.live("columns come, go, change places, names and types: each row is published as it was written", () =>
    withCapture(table("id int primary key, a text, b int"), (capture) =>
      Effect.gen(function*() {
        const { fiber } = yield* startObserved(capture)
        yield* capture.sql("insert into public.t values (1, 'a', 1)",
          "alter table public.t add column c numeric(5, 2) default 1.5, add column d int not null default 7",
          "insert into public.t (id, a, b) values (2, 'b', 2)",
          "update public.t set b = 3 where id = 1",
          "alter table public.t drop column a, add column a text", // last now
          "insert into public.t values (3, 3, 3.25, 3, 'last')",
          "alter table public.t rename column b to renamed",
          "insert into public.t values (4, 4, 4, 4, 'x')",
          "alter table public.t alter column renamed type text using 'n' || renamed, alter column c drop default, alter column c type timestamptz using 'epoch'",
          "insert into public.t values (5, 'n5', '2024-01-01 00:00:00+00', 5, 'y')",
          "alter table public.t drop column c, drop column d, drop column a, drop column renamed",
          "insert into public.t values (6)")
        assert.deepStrictEqual(yield* published(capture), [
          { id: 1, a: "a", b: 1 },
          { id: 2, a: "b", b: 2, c: "1.50", d: 7 },
          { id: 1, a: "a", b: 3, c: "1.50", d: 7 },
          { id: 3, b: 3, c: "3.25", d: 3, a: "last" },
          { id: 4, renamed: 4, c: "4.00", d: 4, a: "x" },
          { id: 5, renamed: "n5", c: "2024-01-01T00:00:00.000000Z", d: 5, a: "y" },
          { id: 6 }
        ])
        assert.isUndefined(fiber.pollUnsafe())
        assert.deepStrictEqual(disorder(yield* capture.read("public.t")), [])
      })))

  it.live("in the middle of a transaction, with new types: before and after are told apart, and a rollback leaves nothing", () =>
    withCapture(table("id int primary key, a text", "create type public.mood as enum ('ok')"), (capture) =>
      Effect.gen(function*() {
        yield* startObserved(capture)
        yield* capture.sql(`begin; insert into public.t values (1, 'before'); create domain public.amount as int; alter table public.t add column b public.amount default 5,
             add column moods public.mood[];
           insert into public.t values (2, 'after', 6, '{ok}'); alter table public.t drop column a; insert into public.t values (3, 7, null); commit`,
          "begin; alter table public.t add column never text; insert into public.t values (9); rollback",
          "alter type public.mood add value 'great'",
          "insert into public.t values (4, 8, '{ok,great}')",
          `begin; savepoint s; alter table public.t rename column b to lost; insert into public.t values (5, 1); rollback to s;
           insert into public.t values (6, 9); commit`)
        assert.deepStrictEqual(yield* published(capture), [
          { id: 1, a: "before" },
          { id: 2, a: "after", b: 6, moods: ["ok"] },
          { id: 3, b: 7, moods: null },
          { id: 4, b: 8, moods: ["ok", "great"] },
          { id: 6, b: 9, moods: null }
        ])
      })))

  it.live("its replica identity: old rows have what it says, and nothing restarts", () =>
    withCapture(table("id int primary key, a text not null"), (capture) =>
      Effect.gen(function*() {
        const { fiber } = yield* startObserved(capture)
        yield* capture.sql("insert into public.t values (1, 'x')", "update public.t set a = 'y'",
          "alter table public.t replica identity full", "update public.t set a = 'z'",
          "create unique index t_a on public.t (a, id)", "alter table public.t replica identity using index t_a", "update public.t set a = 'w'",
          "alter table public.t replica identity default", "delete from public.t")
        yield* capture.caughtUp
        const before = capture.written.filter(({ topic, value }) => topic.endsWith(".public.t") && value !== null).map((record) => envelope(record).before)
        assert.deepStrictEqual(before, [null, null, { id: 1, a: "y" }, { id: 1, a: "z" }, { id: 1, a: null }])
        assert.isUndefined(fiber.pollUnsafe())
      })))

  it.live("many changes of many tables under load lose no row", () =>
    withCapture({ tables: "public.t, public.u", ddl: "create table public.t (id int primary key); create table public.u (id int primary key)" }, (capture) =>
      Effect.gen(function*() {
        yield* startObserved(capture)
        const writer = (name: string) => Effect.promise(async () => {
          for (let id = 1; id <= 150; id++) await capture.database.query(`insert into public.${name} (id) values (${id})`)
        })
        const changer = Effect.promise(async () => {
          for (let n = 0; n < 25; n++) {
            for (const name of ["t", "u"]) {
              await capture.database.query(`alter table public.${name} add column c${n} int default ${n}`)
              if (n > 1) await capture.database.query(`alter table public.${name} drop column c${n - 2}`)
            }
          }
        })
        yield* Effect.all([writer("t"), writer("u"), changer], { concurrency: 3 })
        yield* capture.caughtUp
        for (const name of ["t", "u"]) {
          const rows = finalState(yield* capture.read(`public.${name}`))
          assert.strictEqual(rows.size, 150)
          // A column's value is its number, in whichever row it is.
          const wrong = [...rows.values()].filter((row) => Object.entries(row).some(([column, value]) => column !== "id" && value !== Number(column.slice(1))))
          assert.deepStrictEqual(wrong, [])
        }
      })))

  it.live("its key dropped, turned round and changed: is told, read again, and the others go on", () =>
    withCapture(table("a int, b int, v text, primary key (a, b)"), (capture) =>
      Effect.gen(function*() {
        const { fiber, gapOf, none } = yield* startObserved(capture)
        const repaired = Effect.fnUntraced(function*(keys: ReadonlyArray<string>) {
          const cleared = yield* Effect.forkChild(none, { startImmediately: true })
          yield* capture.provide(TableRepair.repair(TableName.TableName("public", "t")))
          yield* Fiber.join(cleared)
          yield* capture.caughtUp
          assert.deepStrictEqual([...finalState(yield* capture.read("public.t")).keys()].toSorted(), keys)
        })
        yield* capture.sql("insert into public.t values (1, 2, 'x')", "alter table public.t drop constraint t_pkey", "insert into public.t values (3, 4, 'no key')")
        assert.match((yield* gapOf("public.t")).why, /key changed from \(a, b\) to \(\)/)
        yield* capture.caughtUp
        yield* capture.sql("alter table public.t add primary key (b, a)", "insert into public.t values (5, 6, 'turned')")
        yield* capture.caughtUp
        yield* repaired(["{\"b\":2,\"a\":1}", "{\"b\":4,\"a\":3}", "{\"b\":6,\"a\":5}"])
        yield* capture.sql("alter table public.t drop constraint t_pkey, add primary key (a)", "update public.t set v = 'new' where a = 1")
        assert.match((yield* gapOf("public.t")).why, /key changed from \(b, a\) to \(a\)/)
        yield* repaired(["{\"a\":1}", "{\"a\":3}", "{\"a\":5}"])
        assert.isUndefined(fiber.pollUnsafe())
      })))

  it.live("renamed or moved to another schema: is gone by its name, and told", () =>
    withCapture(table("id int primary key", "create schema other"), (capture) =>
      Effect.gen(function*() {
        const { gapOf, none } = yield* startObserved(capture)
        yield* capture.sql("insert into public.t values (1)", "alter table public.t set schema other", "insert into other.t values (2)")
        assert.match((yield* gapOf("public.t")).why, /gone: dropped, renamed or moved/)
        yield* capture.caughtUp
        assert.deepStrictEqual(yield* published(capture), [{ id: 1 }])
        yield* capture.sql("alter table other.t set schema public")
        const cleared = yield* Effect.forkChild(none, { startImmediately: true })
        yield* capture.provide(TableRepair.repair(TableName.TableName("public", "t")))
        yield* Fiber.join(cleared)
        yield* capture.caughtUp
        assert.deepStrictEqual([...finalState(yield* capture.read("public.t")).values()], [{ id: 1 }, { id: 2 }])
      })))

  it.live("dropped while capture is away: its last changes keep the key that they had", () =>
    withCapture(table("a int, b int, v int, primary key (b, a)"), (capture) =>
      Effect.gen(function*() {
        const { fiber } = yield* startObserved(capture)
        yield* Fiber.interrupt(fiber)
        yield* capture.sql("insert into public.t values (1, 2, 3)", "alter table public.t add column w int", "insert into public.t values (4, 5, 6, 7)",
          "drop table public.t")
        yield* capture.start
        yield* capture.caughtUp
        assert.deepStrictEqual([...finalState(yield* capture.read("public.t")).keys()].toSorted(), ["{\"b\":2,\"a\":1}", "{\"b\":5,\"a\":4}"])
      })))
})
