import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import type { ReadRecord } from "../support/TestTopics.ts"
import { disorder, envelope, withCapture } from "./CaptureFixture.ts"
import { streamed } from "./Images.ts"

/** One partition, so that the order is that of the commits. */
const overrides = { kafka: { partitions: 1 } }

describe("TRUNCATE", () => {
  const tables = {
    tables: "public.parent, public.child, public.log",
    ddl: `create table public.parent (id int primary key); create table public.child (id int primary key, parent int references public.parent);
      create table public.log (line text); alter table public.log replica identity full`
  }
  const work = "insert into public.parent values (1); truncate public.parent, public.log cascade; insert into public.child values (2); insert into public.log values ('x')"

  it.live("of several tables, and of what it cascades to, is one of each, in every partition, in its place", () =>
    withCapture(tables, (capture) =>
      Effect.gen(function*() {
        yield* capture.setup
        yield* capture.start
        yield* capture.caughtUp
        yield* capture.sql(work)
        yield* capture.caughtUp
        const seen = new Map<string, ReadonlyArray<ReadRecord>>()
        for (const table of ["parent", "child", "log"]) {
          const records = yield* capture.read(`public.${table}`)
          assert.deepStrictEqual(disorder(records), [])
          seen.set(table, records.filter((record) => record.value !== null && envelope(record).op !== "d")) // the sweep's deletes follow some time after
        }
        const truncates = [...seen].flatMap(([table, records]) => records.filter((record) => envelope(record).op === "t").map((record) =>
          [table, record.partition, record.key?.toString() ?? null, envelope(record).transaction.data_collection_order]))
        assert.deepStrictEqual(truncates, [
          ["parent", 0, `{"__cdc_truncate":"public.parent"}`, 2], ["parent", 1, `{"__cdc_truncate":"public.parent"}`, 2],
          ["child", 0, `{"__cdc_truncate":"public.child"}`, 1], ["child", 1, `{"__cdc_truncate":"public.child"}`, 1],
          ["log", 0, null, 1], ["log", 1, null, 1]
        ])
        const orders = new Set([...seen.values()].flat().map((record) => envelope(record).transaction.total_order))
        assert.deepStrictEqual([...orders].toSorted(), [1, 2, 3, 4, 5, 6])
      })))

  it.live("that is turned off leaves its place in the order free", () =>
    withCapture({ ...tables, overrides: { publish: { truncates: false }, ...overrides } }, (capture) =>
      Effect.gen(function*() {
        yield* capture.setup
        yield* capture.start
        yield* capture.caughtUp
        yield* capture.sql(work)
        yield* capture.caughtUp
        const child = streamed(yield* capture.read("public.child"))
        assert.deepStrictEqual(child.map(({ op, order }) => [op, order]), [["c", [5, 2]]])
        assert.deepStrictEqual(streamed(yield* capture.read("public.log")).map(({ op, order }) => [op, order]), [["c", [6, 2]]])
      })))
})

describe("total_order", () => {
  it.live("counts what the server sends, whatever each table's identity, savepoints and aborted work", () =>
    withCapture({
      tables: "public.d, public.f, public.i", overrides,
      ddl: `create table public.d (id int primary key, v text); create table public.f (id int primary key, v text); alter table public.f replica identity full;
        create table public.i (id int not null unique, v text); alter table public.i replica identity using index i_id_key`
    }, (capture) =>
      Effect.gen(function*() {
        yield* capture.setup
        yield* capture.start
        yield* capture.caughtUp
        const of = (table: string) => `insert into public.${table} values (1, 'a'), (2, 'b'); update public.${table} set v = 'c' where id = 1;
          savepoint s; delete from public.${table}; rollback to s; update public.${table} set id = 3 where id = 2; delete from public.${table} where id = 1;`
        yield* capture.sql(`begin; ${of("d")} select pg_logical_emit_message(true, 'mine', 'x'); ${of("f")} ${of("i")} commit`)
        yield* capture.caughtUp
        const expected = (first: number) => [
          ["c", [first, 1]], ["c", [first + 1, 2]], ["u", [first + 2, 3]], ["d", [first + 3, 4]], ["tombstone", undefined],
          ["c", [first + 4, 5]], ["d", [first + 5, 6]], ["tombstone", undefined]
        ]
        for (const [table, first] of [["d", 1], ["f", 7], ["i", 13]] as const) {
          const images = streamed(yield* capture.read(`public.${table}`))
          assert.deepStrictEqual(images.map(({ op, order }): unknown => [op, order]), expected(first))
        }
      })))
})
