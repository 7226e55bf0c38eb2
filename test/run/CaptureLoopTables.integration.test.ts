import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Latch } from "effect"
import type { OutgoingRecord } from "../../src/domain/OutgoingRecord.ts"
import { disorder, envelope, finalState, withCapture } from "./CaptureFixture.ts"

const ofTable = (table: string) => (record: OutgoingRecord) => record.topic.endsWith(`.${table}`)

describe("what tables do while they are captured", () => {
  it.live("a snapshot under writers has no gap and no overlap", () =>
    withCapture({
      tables: "public.counters",
      ddl: "create table public.counters (id int primary key, hits int not null); insert into public.counters select n, 0 from generate_series(1, 3000) n"
    }, (capture) =>
      Effect.gen(function*() {
        yield* capture.setup
        const reading = yield* Latch.make(false)
        capture.gate = () => reading.await // holds the first write until the writers have committed
        yield* capture.start
        const write = (id: number) => capture.database.query(
          `update public.counters set hits = hits + 1 where id % 10 = ${id % 10}; delete from public.counters where id = ${id}; insert into public.counters values (${3000 + id}, 0)`)
        yield* Effect.promise(() => Promise.all([1, 2, 3, 4, 5, 6].map(write)))
        yield* reading.open
        yield* Effect.promise(() => Promise.all([11, 12, 13].map(write)))
        yield* capture.caughtUp
        const records = yield* capture.read("public.counters")
        assert.deepStrictEqual(disorder(records), [])
        const rows = yield* capture.sql("select id, hits from public.counters order by id")
        const final = [...finalState(records).values()].toSorted((a, b) => Number(a.id) - Number(b.id))
        assert.deepStrictEqual(final, rows)
      })))

  it.live("a table changed while it is streamed is published as it is at each change", () =>
    withCapture({ tables: "public.t", ddl: "create table public.t (id int primary key, a text)" }, (capture) =>
      Effect.gen(function*() {
        yield* capture.setup
        yield* capture.start
        yield* capture.caughtUp
        yield* capture.sql("insert into public.t values (1, 'x')")
        yield* capture.sql("alter table public.t add column b numeric(6, 2)")
        yield* capture.sql("insert into public.t values (2, 'y', 1.5)")
        yield* capture.sql("alter table public.t drop column a")
        yield* capture.sql("insert into public.t values (3, 2.25)")
        yield* capture.sql("alter table public.t alter column b type text")
        yield* capture.sql("insert into public.t values (4, 'text')")
        yield* capture.caughtUp
        const after = capture.written.filter(ofTable("public.t")).map((record) => envelope(record).after)
        assert.deepStrictEqual(after, [{ id: 1, a: "x" }, { id: 2, a: "y", b: "1.50" }, { id: 3, b: "2.25" }, { id: 4, b: "text" }])
      })))

  it.live("a truncate reaches every partition, a table without a key has a topic that takes it", () =>
    withCapture({
      tables: "public.keyed, public.keyless",
      ddl: "create table public.keyed (id int primary key); create table public.keyless (v text); alter table public.keyless replica identity full"
    }, (capture) =>
      Effect.gen(function*() {
        yield* capture.setup
        yield* capture.start
        yield* capture.caughtUp
        yield* capture.sql(
          "insert into public.keyless values ('a'), ('b'); delete from public.keyless where v = 'a'; insert into public.keyed values (1); truncate public.keyed, public.keyless")
        yield* capture.caughtUp
        const keyed = yield* capture.read("public.keyed")
        assert.deepStrictEqual(disorder(keyed), [])
        const truncates = keyed.filter((record) => envelope(record).op === "t")
        assert.deepStrictEqual(truncates.map(({ key, partition }) => [partition, key?.toString()]), [
          [0, "{\"__cdc_truncate\":\"public.keyed\"}"], [1, "{\"__cdc_truncate\":\"public.keyed\"}"]
        ])
        const keyless = yield* capture.read("public.keyless")
        assert.isTrue(keyless.every((record) => record.key === null))
        assert.deepStrictEqual(keyless.map(({ value }) => value === null ? null : envelope({ value }).op), ["c", "c", "d", null, "t", "t"])
      })))

  it.live("a table dropped while capture was away is published to its end", () =>
    withCapture({ tables: "public.gone", ddl: "create table public.gone (id int primary key)" }, (capture) =>
      Effect.gen(function*() {
        yield* capture.setup
        const first = yield* capture.start
        yield* capture.caughtUp
        yield* capture.caughtUp // the first one's row may have been in the snapshot
        yield* Fiber.interrupt(first)
        for (const statement of ["insert into public.gone values (1)", "truncate public.gone", "drop table public.gone"]) {
          yield* capture.sql(statement)
        }
        yield* capture.start
        yield* capture.caughtUp
        const records = yield* capture.read("public.gone")
        assert.deepStrictEqual(disorder(records), [])
        assert.deepStrictEqual(records.map((record) => envelope(record).op).toSorted(), ["c", "t", "t"])
        assert.isTrue(records.every(({ key }) => key !== null)) // a compacted topic refuses any other
      })))

  it.live("generated columns, domains, enums and partitions read as they stream", () =>
    withCapture({
      tables: "public.v, public.p",
      ddl: `create domain public.amount as numeric(8, 2); create type public.mood as enum ('ok', 'sad');
        create table public.v (id int primary key, price public.amount, twice numeric generated always as (price * 2) stored, m public.mood,
          at timestamptz, span interval, f float8, b bytea, tags text[], d date, cash money);
        create table public.p (id int, region text, primary key (region, id)) partition by list (region);
        create table public.p_eu partition of public.p for values in ('eu'); create table public.p_us partition of public.p for values in ('us')`
    }, (capture) =>
      Effect.gen(function*() {
        const values = "1.5, 'sad', '2024-02-29 23:59:59.123456+05', '1 mon 2 days 03:04:05.6', 0.1::float8 + 0.2, '\\x00ff', array['a', null, E'tab\\tback\\\\slash\\nline'], '2024-02-29', 12.34"
        const insert = (id: number) => capture.sql(
          `insert into public.v (id, price, m, at, span, f, b, tags, d, cash) values (${id}, ${values}); insert into public.p values (${id}, 'eu')`)
        yield* insert(1)
        yield* capture.setup
        yield* capture.start
        yield* capture.until(ofTable("public.v"))
        yield* insert(2)
        yield* capture.sql("update public.p set region = 'us' where id = 1")
        yield* capture.caughtUp
        const [read, streamed] = capture.written.filter(ofTable("public.v")).map((record) => ({ ...envelope(record).after, id: 0 }))
        assert.deepStrictEqual(streamed, read)
        assert.strictEqual((read as { twice?: unknown }).twice, "3.00")
        const partitioned = yield* capture.read("public.p")
        assert.deepStrictEqual(disorder(partitioned), [])
        assert.deepStrictEqual([...finalState(partitioned).keys()].toSorted(), ["{\"region\":\"eu\",\"id\":2}", "{\"region\":\"us\",\"id\":1}"])
      })))
})
