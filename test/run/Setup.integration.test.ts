import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import pg from "pg"
import * as Slot from "../../src/capture/Slot.ts"
import { Postgres } from "../../src/connections/Postgres.ts"
import { type CaptureUnderTest, disorder, envelope, withCapture } from "./CaptureFixture.ts"

const tables = { tables: "public.a, public.b", ddl: "create table public.a (id int primary key); create table public.b (id int primary key)" }

describe("setting up and tearing down", () => {
  it.live("makes everything once, adds what is missing, takes all of it away but the topics", () =>
    withCapture(tables, (capture) =>
      Effect.gen(function*() {
        const { database, topics } = capture
        const slot = `cdc_${database.name}`
        yield* capture.setup
        const state = capture.sql("select slot, epoch, snapshot, database, publication_oid from cdc.capture")
        const before = yield* state
        assert.strictEqual(before.length, 1)
        assert.deepStrictEqual(yield* capture.sql("select table_name from cdc.rereads"), [], "topics that hold only a fence's markers need no sweep")
        yield* capture.sql(`alter publication ${slot} drop table public.b`)
        const lines = yield* capture.setup
        assert.include(lines.join("\n"), "added public.b")
        assert.deepStrictEqual(yield* state, before)
        const options = yield* capture.sql(`select pubviaroot, to_jsonb(p) ->> 'pubgencols' as generated from pg_publication p where pubname = '${slot}'`)
        assert.deepStrictEqual(options[0], { pubviaroot: true, generated: "s" })

        yield* capture.teardown
        const left = yield* capture.sql(`select (select count(*)::int from pg_replication_slots where slot_name = '${slot}') as slots,
          (select count(*)::int from pg_publication) as publications, to_regnamespace('cdc') as schema`)
        assert.deepStrictEqual(left[0], { slots: 0, publications: 0, schema: null })
        const kept = (yield* Effect.promise(() => topics.admin.listTopics())).filter((topic) => topic.startsWith(`${topics.prefix}.`))
        assert.strictEqual(kept.length, 5, "of three tables, the events, and the journal")
        yield* capture.teardown
      })))

  it.live("a second capture into the same topics begins a later epoch, and topics of another history stop it", () =>
    withCapture(tables, (capture) =>
      Effect.gen(function*() {
        yield* capture.sql("insert into public.a values (1)")
        yield* capture.setup
        const first = yield* capture.start
        yield* capture.caughtUp
        yield* Fiber.interrupt(first)
        yield* capture.teardown
        yield* capture.setup
        const second = yield* capture.start
        yield* capture.caughtUp
        yield* Fiber.interrupt(second)
        const records = yield* capture.read("public.a")
        assert.deepStrictEqual(records.map((record) => [envelope(record).op, envelope(record).source.epoch]), [["r", 1], ["r", 2]])
        assert.deepStrictEqual(disorder(records), [])
        yield* capture.sql("update cdc.capture set epoch = 1") // as after restoring an older branch
        const stopped = yield* Effect.flip(Fiber.join(yield* capture.start))
        assert.match(stopped.message, /restored or replaced.*cdc setup --resnapshot/s)
      })))

  it.live("refuses a table that the hub could no longer update, a missing one, and a slot that nobody remembers", () =>
    withCapture(tables, (capture) =>
      Effect.gen(function*() {
        yield* capture.sql("alter table public.a drop constraint a_pkey")
        assert.match(String(yield* Effect.flip(capture.setup)), /public\.a has no replica identity.*REPLICA IDENTITY FULL/s)
        yield* capture.sql("alter table public.a add primary key (id)")
        yield* capture.sql("alter table public.b rename to c")
        assert.match(String(yield* Effect.flip(capture.setup)), /Table public\.b is to be captured, and not in the database/)
        yield* capture.sql("alter table public.c rename to b")
        yield* capture.sql(`select pg_create_logical_replication_slot('cdc_${capture.database.name}', 'pgoutput')`)
        assert.match(String(yield* Effect.flip(capture.setup)), /exists, but nothing here remembers/)
        const made = yield* capture.sql("select (select count(*)::int from pg_publication) as publications, to_regnamespace('cdc') as schema")
        assert.deepStrictEqual(made[0], { publications: 0, schema: null })
      })))

  it.live("stopped while its slot waits for a transaction, it ends at once and leaves no slot; then it can be run again", () =>
    withCapture(tables, (capture) =>
      Effect.gen(function*() {
        const slot = `cdc_${capture.database.name}`
        const slots = capture.sql<{ active: boolean }>(`select active from pg_replication_slots where slot_name = '${slot}'`)
        yield* whileWriting(capture, () =>
          Effect.gen(function*() {
            const setup = yield* Effect.forkScoped(capture.setup)
            yield* Effect.repeat(slots, { until: (found) => found.length === 1 })
            yield* Effect.timeout(Fiber.interrupt(setup), "15 seconds") // the server itself would wait for the transaction's end
            assert.deepStrictEqual(yield* slots, [])
          }))
        yield* capture.setup
        assert.deepStrictEqual(yield* slots, [{ active: false }])
      })))

  it.live("stopped between its slot and what is remembered of it, it remembers it first", () =>
    withCapture(tables, (capture) =>
      Effect.gen(function*() {
        const slots = capture.sql(`select from pg_replication_slots where slot_name = 'cdc_${capture.database.name}' and confirmed_flush_lsn is not null`)
        const setup = yield* Effect.forkScoped(capture.setup)
        yield* Effect.repeat(slots, { until: (found) => found.length === 1 })
        yield* Fiber.interrupt(setup)
        yield* capture.setup
      })))

  it.live("says whom a new slot waits for, and does not wait for ever", () =>
    withCapture(tables, (capture) =>
      whileWriting(capture, (pid) =>
        Effect.gen(function*() {
          const error = yield* Effect.flip(capture.provide(Effect.flatMap(Postgres, (postgres) => Slot.create(postgres, `cdc_${capture.database.name}`, 200))))
          assert.match(error.message, new RegExp(`Creating replication slot .* after 0\\.2 s one still is \\(.*pid ${pid}, writer, idle in transaction, since .*\\); end it`))
          assert.deepStrictEqual(yield* capture.sql(`select from pg_replication_slots where slot_name = 'cdc_${capture.database.name}'`), [])
        }))))
})

/** With a transaction open that has written; `pid`: of its session. */
const whileWriting = <A, E, R>(capture: CaptureUnderTest, work: (pid: number) => Effect.Effect<A, E, R>) =>
  Effect.acquireUseRelease(
    Effect.promise(async () => {
      const client = new pg.Client({ connectionString: capture.database.url, application_name: "writer" })
      await client.connect()
      const { rows } = await client.query<{ pid: number }>("select pg_backend_pid() as pid")
      await client.query("begin")
      await client.query("insert into public.a values (1000)")
      return { client, pid: rows[0]!.pid }
    }),
    ({ pid }) => work(pid),
    ({ client }) => Effect.promise(() => client.end())
  )
