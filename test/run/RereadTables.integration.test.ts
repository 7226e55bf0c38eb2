import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Latch, Logger } from "effect"
import { AppConfig } from "../../src/Config.ts"
import * as TableName from "../../src/domain/TableName.ts"
import * as CaptureLoop from "../../src/run/CaptureLoop.ts"
import { requestRereads } from "../../src/run/RequestRereads.ts"
import * as Setup from "../../src/run/Setup.ts"
import { type CaptureUnderTest, disorder, envelope, finalState, isTheTable, withCapture } from "./CaptureFixture.ts"
import { connection, isIncremental, rereading } from "./Rereading.ts"

const tiny = { snapshot: { chunkBytes: 6_000 } }
const rowsOf = (n: number) => `select n, 'v' || n from generate_series(1, ${n}) n`

/** Ten rows in each of four partitions, and in a table that is to become one. */
const partitioned = `create table public.t (id int primary key, v text) partition by range (id);
  ${[0, 1, 2, 3].map((n) => `create table public.t_${n} partition of public.t for values from (${n * 100}) to (${(n + 1) * 100});`).join(" ")}
  insert into public.t select n, 'v' || n from generate_series(0, 3) p, generate_series(p * 100 + 1, p * 100 + 10) n;
  create table public.u (id int primary key, v text); insert into public.u select n, 'u' || n from generate_series(401, 410) n`

const finalRows = (records: Parameters<typeof finalState>[0]) => [...finalState(records).values()]

/** Set up, with the first snapshot done and the stream at its end. */
const started = Effect.fnUntraced(function*(capture: CaptureUnderTest) {
  yield* capture.setup
  const requests = yield* rereading(capture)
  const loop = yield* capture.start
  yield* capture.caughtUp
  yield* capture.caughtUp // the first may have been in the snapshot
  return { ...requests, loop }
})

/** Holds the first record of a re-read until it is opened. */
const heldAtFirstRead = Effect.fnUntraced(function*(capture: CaptureUnderTest) {
  const reached = yield* Latch.make(false)
  const goOn = yield* Latch.make(false)
  capture.gate = (records) => records.some(isIncremental) ? Effect.andThen(reached.open, goOn.await) : Effect.void
  return { reached: reached.await, goOn: goOn.open }
})

const done = { error: null, state: "done" }
const outcome = ({ error, state }: { readonly error: string | null; readonly state: string }) => ({ error, state })

describe("a table that is read again", () => {
  it.live("may be truncated meanwhile: nothing of before comes back", () =>
    withCapture({ tables: "public.t", ddl: `create table public.t (id int primary key, v text); insert into public.t ${rowsOf(60)}`, overrides: tiny }, (capture) =>
      Effect.gen(function*() {
        const { ask, finished } = yield* started(capture)
        const { goOn, reached } = yield* heldAtFirstRead(capture)
        const id = yield* ask("public.t")
        yield* reached
        yield* capture.sql("truncate public.t; insert into public.t values (50, 'new')")
        yield* goOn
        assert.deepStrictEqual(outcome(yield* finished(id)), done)
        yield* capture.caughtUp
        const records = yield* capture.read("public.t")
        assert.deepStrictEqual(disorder(records), [])
        const truncated = new Map(records.filter((record) => record.value !== null && envelope(record).op === "t").map(({ offset, partition }) => [partition, offset]))
        const after = records.filter(({ offset, partition }) => BigInt(offset) > BigInt(truncated.get(partition)!))
        assert.deepStrictEqual([...new Set(after.flatMap((record) => record.value === null ? [] : [envelope(record).after?.v]))], ["new"])
      })))

  it.live("may get other columns meanwhile, and begins anew under another key", () =>
    withCapture({ tables: "public.t", ddl: `create table public.t (id int primary key, v text not null); insert into public.t ${rowsOf(60)}`, overrides: tiny }, (capture) =>
      Effect.gen(function*() {
        const { ask, finished } = yield* started(capture)
        const first = yield* heldAtFirstRead(capture)
        const id = yield* ask("public.t")
        yield* first.reached
        yield* capture.sql("alter table public.t add column w int default 7; alter table public.t rename column v to u")
        yield* first.goOn
        assert.deepStrictEqual(outcome(yield* finished(id)), done)
        const last = envelope((yield* capture.read("public.t")).filter(isIncremental).at(-1)!).after!
        assert.deepStrictEqual(Object.keys(last), ["id", "u", "w"])

        const second = yield* heldAtFirstRead(capture)
        const again = yield* ask("public.t")
        yield* second.reached
        yield* capture.sql("alter table public.t drop constraint t_pkey; alter table public.t add primary key (u, id)")
        yield* second.goOn
        const { error, rows, state } = yield* finished(again)
        assert.deepStrictEqual({ error, rows, state }, { ...done, rows: "60" })
        const keys = (yield* capture.read("public.t")).filter(isIncremental).map(({ key }) => key!.toString())
        assert.strictEqual(new Set(keys.filter((key) => key.startsWith("{\"u\":"))).size, 60)
      })))

  it.live("and is dropped, or has no key, is not; the next one has its turn", () =>
    withCapture({
      tables: "public.gone, public.keyless, public.parts",
      ddl: `create table public.gone (id int primary key);
        create table public.keyless (v text); alter table public.keyless replica identity full; alter table public.keyless replica identity full;
        create table public.parts (id int primary key, v text) partition by range (id);
        create table public.low partition of public.parts for values from (0) to (25); create table public.high partition of public.parts default;
        insert into public.parts ${rowsOf(60)}`,
      overrides: tiny
    }, (capture) =>
      Effect.gen(function*() {
        const { ask, finished } = yield* started(capture)
        const holder = yield* connection(capture.database)
        yield* Effect.promise(() => holder.query("begin; insert into public.gone values (1)"))
        const gone = yield* ask("public.gone") // waits for the writer
        const keyless = yield* ask("public.keyless")
        const parts = yield* ask("public.parts", { condition: "parts.v like '%7' -- the last digit" })
        yield* Effect.promise(() => holder.query("rollback; drop table public.gone"))
        const [goneEnd, keylessEnd, partsEnd] = yield* Effect.all([finished(gone), finished(keyless), finished(parts)])
        assert.match(goneEnd.error!, /public\.gone is not in (the database any more|publication)/)
        assert.match(keylessEnd.error!, /public\.keyless has no key/)
        assert.deepStrictEqual(partsEnd, { ...done, rows: "6" })
        const read = (yield* capture.read("public.parts")).filter(isIncremental).map((record) => Number(envelope(record).after!.id))
        assert.deepStrictEqual(read.toSorted((a, b) => a - b), [7, 17, 27, 37, 47, 57])
      })))

  it.live("publishes a part again at a higher position if it died before that was noted", () =>
    withCapture({ tables: "public.t", ddl: `create table public.t (id int primary key, v text); insert into public.t ${rowsOf(30)}` }, (capture) =>
      Effect.gen(function*() {
        const { ask, finished, loop } = yield* started(capture)
        const holder = yield* connection(capture.database)
        const { goOn, reached } = yield* heldAtFirstRead(capture)
        const id = yield* ask("public.t")
        yield* reached
        yield* Effect.promise(() => holder.query("begin; select from cdc.rereads for update")) // the progress can't be noted
        yield* goOn
        yield* capture.until(isIncremental)
        yield* Fiber.interrupt(loop)
        yield* Effect.promise(() => holder.query("rollback"))
        yield* capture.start
        assert.deepStrictEqual(outcome(yield* finished(id)), done)
        const records = yield* capture.read("public.t")
        assert.deepStrictEqual(disorder(records), [])
        assert.strictEqual(records.filter(isIncremental).length, 60)
        assert.strictEqual(finalState(records).size, 30)
      })))

  it.live("waits for a migration without standing in its way", () =>
    withCapture({ tables: "public.t", ddl: `create table public.t (id int primary key, v text); insert into public.t ${rowsOf(30)}` }, (capture) =>
      Effect.gen(function*() {
        const { ask, delayed, finished } = yield* started(capture)
        const { goOn, reached } = yield* heldAtFirstRead(capture)
        const migration = yield* connection(capture.database)
        const id = yield* ask("public.t")
        yield* reached
        // Nothing of ours holds the table while rows are being published.
        yield* Effect.promise(() => migration.query("set lock_timeout = '5s'; begin; alter table public.t add column w int default 1"))
        yield* goOn
        assert.deepStrictEqual(outcome(yield* finished(id)), done)
        const second = yield* ask("public.t")
        yield* delayed(second)
        yield* Effect.promise(() => migration.query("commit"))
        assert.deepStrictEqual(outcome(yield* finished(second)), done)
        assert.strictEqual(envelope((yield* capture.read("public.t")).at(-1)!).after!.w, 1)
      })))

  it.live("is read in the order of its key, whatever that is made of, each row once", () =>
    withCapture({
      tables: `public."Mixed ""Case"`,
      ddl: `create table public."Mixed ""Case" ("At" timestamptz, "it's" text, n numeric, b bytea, v text, primary key (n, "At", b, "it's"));
        insert into public."Mixed ""Case" select timestamptz '2026-01-01 00:00+02' + n % 3 * interval '1.5 s', repeat(e'\\\\"é', n % 4) || n % 7, n / 8.0, decode(to_hex(n % 2 + 16), 'hex'), n
          from generate_series(1, 60) n`,
      overrides: tiny
    }, (capture) =>
      Effect.gen(function*() {
        const { ask, finished } = yield* started(capture)
        yield* capture.sql("alter database " + capture.database.name + " set DateStyle = 'German, DMY'; alter database " + capture.database.name + " set bytea_output = 'escape'")
        assert.deepStrictEqual(yield* finished(yield* ask(`public."Mixed ""Case"`)), { ...done, rows: "60" })
        const reads = capture.written.filter(isIncremental)
        const values = reads.map((record) => Number(envelope(record).after!.v))
        assert.deepStrictEqual(values.toSorted((a, b) => a - b), Array.from({ length: 60 }, (_, index) => index + 1))
        const before = new Map(capture.written.filter((record) => !isIncremental(record)).map(({ key, value }) => [key!.toString(), envelope({ value }).after]))
        assert.deepStrictEqual(reads.map((record) => envelope(record).after), reads.map(({ key }) => before.get(key!.toString())!), "the same as at first")
      })))

  it.live("comes into the configuration with its rows once setup knows it, and its changes of meanwhile", () =>
    withCapture({ tables: "public.t", ddl: `create table public.t (id int primary key); create table public.later (id int primary key, v text); create table public.keyless (v text); alter table public.keyless replica identity full; insert into public.later ${rowsOf(20)}` }, (capture) =>
      Effect.gen(function*() {
        const { finished, loop } = yield* started(capture)
        const widenedBy = (table: string) => capture.provide(Effect.map(AppConfig, (settings) =>
          AppConfig.of({ ...settings, source: { ...settings.source, tables: [...settings.source.tables, TableName.parse(table)] } })))
        const tooLate = yield* Effect.flip(capture.provide(Effect.provideService(Setup.setup, AppConfig, yield* widenedBy("public.keyless"))))
        assert.match(tooLate.message, /public\.keyless has no key/)
        const settings = yield* widenedBy("public.later")
        const withLater = <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.provideService(effect, AppConfig, settings)
        const lines = yield* capture.provide(withLater(Setup.setup))
        assert.match(lines.join("\n"), /re-reads: asked for public\.later/)
        assert.notMatch((yield* capture.provide(withLater(Setup.setup))).join("\n"), /re-reads/)
        yield* capture.sql("update public.later set v = 'while the old one runs' where id = 1; delete from public.later where id = 2")
        yield* capture.caughtUp
        yield* Fiber.interrupt(loop)
        const later = yield* Effect.forkScoped(capture.provide(withLater(CaptureLoop.run)).pipe(Effect.provide(Logger.layer([]))))
        const [{ id }] = yield* capture.sql<{ id: string }>("select id from cdc.rereads where table_name = 'public.later'") as Effect.Effect<[{ id: string }]>
        assert.deepStrictEqual(outcome(yield* finished(BigInt(id))), done)
        const final = finalState(yield* capture.read("public.later"))
        assert.strictEqual(final.size, 19)
        assert.strictEqual(final.get("{\"id\":1}")!.v, "while the old one runs")
        yield* Fiber.interrupt(later)
      })))

  it.live("lost partitions and got others, of which Postgres tells nothing: its topic is the table again", () =>
    withCapture({ tables: "public.t", ddl: partitioned, overrides: tiny }, (capture) =>
      Effect.gen(function*() {
        const { finished } = yield* started(capture)
        yield* capture.sql("alter table public.t detach partition public.t_1", "drop table public.t_2", "truncate public.t_3",
          "alter table public.t attach partition public.u for values from (400) to (500)")
        const [asked] = yield* capture.provide(requestRereads(["public.t"], undefined))
        assert.deepStrictEqual(outcome(yield* finished(asked!.id)), done)
        assert.lengthOf(finalRows(yield* isTheTable(capture, "public.t")), 20)
      })))

  it.live("is not swept if only a part of it was asked for", () =>
    withCapture({ tables: "public.t", ddl: partitioned, overrides: tiny }, (capture) =>
      Effect.gen(function*() {
        const { finished } = yield* started(capture)
        yield* capture.sql("alter table public.t detach partition public.t_1")
        const [asked] = yield* capture.provide(requestRereads(["public.t"], "id >= 200"))
        assert.deepStrictEqual(outcome(yield* finished(asked!.id)), done)
        yield* capture.caughtUp
        assert.lengthOf(finalRows(yield* capture.read("public.t")), 40)
      })))
})
