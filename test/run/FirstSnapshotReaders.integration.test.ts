import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Latch } from "effect"
import type { OutgoingRecord } from "../../src/domain/OutgoingRecord.ts"
import { type CaptureUnderTest, disorder, envelope, finalState, withCapture } from "./CaptureFixture.ts"

/** Pieces of a few blocks, sends of a few rows: many of both. */
const inPieces = (readers: number) => ({ snapshot: { readers, pieceBytes: 65_536 }, publish: { batchBytes: 20_000 } })

/** A large table in many pieces, an empty one, one of a single row, a partitioned one, one with values stored out of line. */
const tables = {
  tables: "public.large, public.empty, public.single, public.parted, public.wide",
  ddl: `create table public.large (id int primary key, hits int not null default 0, note text);
    create table public.empty (id int primary key); create table public.single (id int primary key);
    create table public.parted (id int primary key) partition by range (id);
    create table public.parted_low partition of public.parted for values from (0) to (700);
    create table public.parted_high partition of public.parted for values from (700) to (100000);
    create table public.wide (id int primary key, v text); alter table public.wide alter v set storage external`
}

const fill = `insert into public.large select n, 0, repeat('x', 60) from generate_series(1, 6000) n; insert into public.single values (1);
  insert into public.parted select n from generate_series(1, 2000) n; insert into public.wide select n, repeat('w', 20000) from generate_series(1, 20) n`

const ofTable = (table: string) => (record: OutgoingRecord) => record.topic.endsWith(`.${table}`)

/** The topic ends up with the table's rows, and no position comes back. */
const assertEqual = Effect.fnUntraced(function*(capture: CaptureUnderTest, table: string, columns: string) {
  const records = yield* capture.read(table)
  assert.deepStrictEqual(disorder(records), [])
  const rows = (yield* capture.sql(`select ${columns} from ${table} order by id`)) as ReadonlyArray<unknown>
  assert.deepStrictEqual([...finalState(records).values()].toSorted((a, b) => Number(a.id) - Number(b.id)), rows)
})

describe("several readers of one snapshot", () => {
  for (const readers of [1, 4]) {
    it.live(`${readers}: every row once, marked and numbered as Debezium does, and the progress true at the end`, () =>
      withCapture({ ...tables, overrides: inPieces(readers) }, (capture) =>
        Effect.gen(function*() {
          yield* capture.sql(fill)
          yield* capture.setup
          yield* capture.start
          yield* capture.caughtUp
          const reads = capture.written.map((record) => ({ table: record.topic.split(".").slice(1).join("."), ...envelope(record) })).filter(({ op }) => op === "r")
          assert.deepStrictEqual(reads.map(({ transaction }) => transaction.total_order), reads.map((_, index) => index + 1))
          const marks = new Map<string, number>()
          for (const { source } of reads) marks.set(source.snapshot, (marks.get(source.snapshot) ?? 0) + 1)
          assert.strictEqual(marks.get("first"), 1)
          assert.strictEqual(marks.get("last"), 1)
          for (const [table, rows] of [["public.large", 6_000], ["public.single", 1], ["public.parted", 2_000], ["public.wide", 20]] as const) {
            const own = reads.filter((read) => read.table === table)
            assert.deepStrictEqual(own.map(({ transaction }) => transaction.data_collection_order), Array.from({ length: rows }, (_, index) => index + 1))
            assert.strictEqual(new Set(own.map(({ after }) => after!.id)).size, rows)
          }
          const noted = yield* capture.sql("select table_name, state, rows::int, estimated_rows::int from cdc.snapshot_tables where table_name <> 'public.fence' order by 1")
          assert.deepStrictEqual(noted, [["empty", 0], ["large", 6_000], ["parted", 2_000], ["single", 1], ["wide", 20]].map(([table, rows]) =>
            ({ table_name: `public.${table}`, state: "done", rows, estimated_rows: rows })))
        })))
  }

  it.live("have no gap and no overlap with what writers do meanwhile", () =>
    withCapture({ ...tables, overrides: inPieces(3) }, (capture) =>
      Effect.gen(function*() {
        yield* capture.sql(fill)
        yield* capture.setup
        let n = 0
        const writes = 20
        // Between any two sends: rows of pieces read and unread are changed, deleted, and put behind the last block that was planned.
        capture.gate = () =>
          n >= writes ? Effect.void : capture.sql(`update public.large set hits = hits + 1 where id % 60 = ${++n}; delete from public.large where id = ${n * 90};
            insert into public.large select ${6_000 + n * 100} + m, 0, 'late' from generate_series(1, 50) m; insert into public.parted values (${2_000 + n});
            update public.wide set v = repeat('${n % 10}', 20000) where id = ${n % 20}`)
        yield* capture.start
        yield* capture.until(() => n >= writes)
        yield* capture.caughtUp
        yield* assertEqual(capture, "public.large", "id, hits, note")
        yield* assertEqual(capture, "public.parted", "id")
        yield* assertEqual(capture, "public.wide", "id, v")
      })))

  it.live("stopped at many instants, within pieces and between tables, they end with what the tables hold", () =>
    withCapture({ ...tables, overrides: inPieces(3) }, (capture) =>
      Effect.gen(function*() {
        yield* capture.sql(fill)
        yield* capture.setup
        // Each run lives for some sends more than the one before, so that it ends in another table.
        for (const sends of [0, 1, 2, 4, 7]) {
          let left = sends
          const held = yield* Latch.make(false)
          capture.gate = () => left-- > 0 ? Effect.void : Effect.andThen(held.open, Effect.never)
          const run = yield* capture.start
          yield* Effect.raceFirst(held.await, capture.caughtUp)
          yield* Fiber.interrupt(run)
          yield* capture.sql(`update public.large set hits = hits + 1 where id % 7 = ${sends % 7}; delete from public.large where id % 500 = ${sends};
            delete from public.parted where id % 300 = ${sends}; insert into public.single values (${sends + 2})`)
        }
        capture.gate = () => Effect.void
        yield* capture.start
        yield* capture.caughtUp
        yield* assertEqual(capture, "public.large", "id, hits, note")
        yield* assertEqual(capture, "public.parted", "id")
        yield* assertEqual(capture, "public.single", "id")
        yield* assertEqual(capture, "public.wide", "id, v")
      })), 60_000)

  it.live("one whose connection dies takes the session with it; the next one goes on, without the tables that are done", () =>
    withCapture({ ...tables, overrides: inPieces(2) }, (capture) =>
      Effect.gen(function*() {
        yield* capture.sql(fill)
        yield* capture.setup
        let killed = false
        capture.gate = (records) => {
          if (killed || !records.some(ofTable("public.parted"))) return Effect.void
          killed = true
          return capture.sql(`select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and application_name = 'cdc'
            and backend_type = 'client backend' and state in ('active', 'idle in transaction') and query like 'copy %'`)
        }
        yield* capture.start
        yield* capture.caughtUp
        assert.isTrue(killed)
        yield* assertEqual(capture, "public.large", "id, hits, note")
        yield* assertEqual(capture, "public.parted", "id")
      })))

  it.live("keep a table's definition as it is until they are through, and give its next one to the stream", () =>
    withCapture({ ...tables, overrides: inPieces(2) }, (capture) =>
      Effect.gen(function*() {
        yield* capture.sql(fill)
        yield* capture.setup
        let altering: Promise<unknown> = Promise.resolve()
        let begun = false
        capture.gate = () => {
          if (begun) return Effect.void
          begun = true
          altering = capture.database.query("alter table public.wide alter id type bigint, add column more int default 5") // rewrites it
          return Effect.void
        }
        yield* capture.start
        yield* capture.until(ofTable("public.wide"))
        yield* Effect.promise(() => altering)
        yield* capture.sql("insert into public.wide values (99, 'after', 6)")
        yield* capture.caughtUp
        const wide = capture.written.filter(ofTable("public.wide")).map((record) => envelope(record))
        assert.lengthOf(wide.filter(({ op }) => op === "r"), 20)
        assert.deepStrictEqual(wide.find(({ op }) => op === "c")?.after, { id: 99, v: "after", more: 6 })
      })))
})
