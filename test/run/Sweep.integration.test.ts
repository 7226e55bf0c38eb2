import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Fiber, Queue } from "effect"
import pg from "pg"
import * as Rereads from "../../src/capture/Rereads.ts"
import { Postgres } from "../../src/connections/Postgres.ts"
import type { OutgoingRecord } from "../../src/domain/OutgoingRecord.ts"
import * as Lsn from "../../src/domain/Lsn.ts"
import * as TableName from "../../src/domain/TableName.ts"
import * as TableRepair from "../../src/run/TableRepair.ts"
import { type CaptureUnderTest, isTheTable, withCapture } from "./CaptureFixture.ts"
import { startObserved } from "./ObservedGaps.ts"
import * as TestConfig from "../support/TestConfig.ts"

const name = TableName.TableName("public", "items")
const items = (rows: number) => ({
  tables: "public.items",
  ddl: `create table public.items (id bigint primary key, v int not null); insert into public.items select n, 0 from generate_series(1, ${rows}) n`
})

const isSynthetic = ({ value }: { readonly value: Buffer | null }) => value !== null && value.includes("\"synthetic\":true")
const isOfItems = (record: OutgoingRecord) => record.topic.endsWith(".public.items")

/** Until all that was asked for is done. A row of another table carries the wait: each is a round through the stream. */
const settled = Effect.fnUntraced(function*(capture: CaptureUnderTest) {
  for (;;) {
    const [row] = yield* capture.sql<{ open: string; failed: string | null }>(
      "select count(*) filter (where state not in ('done', 'failed')) as open, max(error) filter (where state = 'failed') as failed from cdc.rereads")
    assert.isNull(row!.failed)
    if (row!.open === "0") return
    yield* capture.caughtUp
  }
})

/** Rows that go while the table is not published. */
const missed = (capture: CaptureUnderTest, ...statements: ReadonlyArray<string>) =>
  Effect.promise(async () => {
    const publication = TestConfig.slotOf(capture.database.name)
    await capture.database.query(`alter publication ${publication} drop table public.items`)
    for (const statement of statements) await capture.database.query(statement)
  })

/** A connection that holds a lock until it is closed. */
const hold = async (url: string, statement: string) => {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  await client.query("begin")
  await client.query(statement)
  return client
}

describe("the sweep", () => {
  it.live("after a TRUNCATE deletes, for readers that do not know it, what was not inserted again", () =>
    withCapture(items(5000), (capture) =>
      Effect.gen(function*() {
        yield* startObserved(capture)
        yield* capture.sql("delete from public.items where id = 7; truncate public.items; insert into public.items values (1, 1), (2, 1)")
        yield* capture.sql("insert into public.items values (3, 1); truncate public.items; insert into public.items values (2, 2), (4, 2)")
        yield* capture.caughtUp
        yield* settled(capture)
        const records = yield* isTheTable(capture, "public.items", "id::int, v")
        const swept = records.filter(isSynthetic).map(({ key }) => key!.toString())
        assert.strictEqual(new Set(swept).size, swept.length)
        assert.deepStrictEqual(["{\"id\":7}", "{\"id\":2}", "{\"id\":4}"].filter((key) => swept.includes(key)), [])
        assert.strictEqual(swept.length, 4997) // 5000 without 2, 4 and 7
      })))

  it.live("spares what is written while it goes on, whoever writes what", () =>
    withCapture(items(9000), (capture) =>
      Effect.gen(function*() {
        const { gapOf, none } = yield* startObserved(capture)
        yield* missed(capture, "delete from public.items where id > 1000")
        yield* gapOf("public.items") // a look from before it would find none
        // Each brings back keys that are just being swept, in the order in which they are, and takes some of them away again.
        const rounds = yield* Queue.unbounded<void>()
        let isOver = false
        const hammers: Array<Fiber.Fiber<void>> = []
        const hammer = (seed: number) =>
          Effect.gen(function*() {
            for (let round = 0; !isOver; round++) {
              const at = 1000 + seed * 2600 + (round * 151) % 2500 // apart from each other
              yield* capture.sql(`insert into public.items select n, ${round} from generate_series(${at}, ${at + 12}) n on conflict (id) do update set v = excluded.v`)
              yield* capture.sql(`delete from public.items where id between ${at + 4} and ${at + 6} or id = -${at + 9}`)
              yield* capture.sql(`update public.items set id = -id where id = ${at + 9}`)
              yield* Queue.offer(rounds, undefined)
            }
          })
        const scope = yield* Effect.scope
        let batches = 0
        capture.gate = (records) => {
          if (!records.some((record) => isOfItems(record) && isSynthetic(record))) return Effect.void
          return Effect.gen(function*() {
            if (batches++ === 0) for (const seed of [0, 1, 2]) hammers.push(yield* Effect.forkIn(hammer(seed), scope))
            yield* Queue.clear(rounds)
            for (let round = 0; round < 12; round++) yield* Queue.take(rounds)
          })
        }
        const cleared = yield* Effect.forkChild(none, { startImmediately: true })
        yield* capture.provide(TableRepair.repair(name))
        yield* Fiber.join(cleared)
        isOver = true
        capture.gate = () => Effect.void
        yield* Fiber.joinAll(hammers)
        const records = yield* isTheTable(capture, "public.items", "id::int, v")
        assert.isAbove(batches, 3)
        assert.isAbove(records.filter(isSynthetic).length, 5000)
      })))

  it.live("takes no row for an old one because it was written when its re-read began", () =>
    withCapture(items(3000), (capture) =>
      Effect.gen(function*() {
        const { gapOf, none } = yield* startObserved(capture)
        yield* settled(capture)
        yield* missed(capture, "delete from public.items where id > 2900")
        yield* gapOf("public.items") // a look from before it would find none
        const cleared = yield* Effect.forkChild(none, { startImmediately: true })
        // Each row once: a delete that is wrong is not made good by a later update.
        const update = (rest: number) =>
          Effect.promise(async () => {
            for (let id = rest; id <= 2900; id += 2) await capture.database.query("update public.items set v = 1 where id = $1", [id])
          })
        const updates = yield* Effect.forEach([1, 2], (rest) => Effect.forkChild(update(rest), { startImmediately: true }))
        yield* capture.provide(TableRepair.repair(name))
        yield* Fiber.join(cleared)
        yield* Fiber.joinAll(updates)
        yield* isTheTable(capture, "public.items", "id::int, v")
      })))

  it.live("interrupted anywhere begins again and ends right", () =>
    withCapture(items(6000), (capture) =>
      Effect.gen(function*() {
        const { fiber, gapOf, none, observed } = yield* startObserved(capture)
        yield* missed(capture, "delete from public.items where id % 2 = 0")
        yield* gapOf("public.items")
        const reached = yield* Deferred.make<void>()
        let batches = 0
        capture.gate = (records) =>
          records.some((record) => isOfItems(record) && isSynthetic(record)) && ++batches === 2
            ? Effect.andThen(Deferred.succeed(reached, undefined), Effect.never)
            : Effect.void
        yield* capture.provide(TableRepair.repair(name))
        yield* Deferred.await(reached)
        yield* Fiber.interrupt(fiber)
        yield* capture.sql("insert into public.items values (2, 9), (6000, 9); delete from public.items where id = 1")
        capture.gate = () => Effect.void
        const cleared = yield* Effect.forkChild(none, { startImmediately: true })
        yield* observed(capture.start)
        yield* Fiber.join(cleared)
        const records = yield* isTheTable(capture, "public.items", "id::int, v")
        const swept = records.filter(isSynthetic).map(({ key }) => key!.toString())
        assert.strictEqual(new Set(swept).size, swept.length)
      })))

  it.live("is asked for before the TRUNCATE is confirmed, so that a crash between does not lose it", () =>
    withCapture({ ...items(100), overrides: { source: { statusIntervalSeconds: 0.1 } } }, (capture) =>
      Effect.gen(function*() {
        const { fiber, observed } = yield* startObserved(capture)
        yield* settled(capture)
        const asked = Effect.map(capture.provide(Effect.gen(function*() {
          const rereads = Rereads.make("cdc", TestConfig.slotOf(capture.database.name))
          return yield* rereads.list(yield* Postgres)
        })), (all) => all.filter(({ reason }) => reason === "truncated").length)
        // The request can't be written: as if the process died when the records of the truncate are there.
        const holder = yield* Effect.promise(() => hold(capture.database.url, "lock table cdc.rereads"))
        yield* capture.sql("truncate public.items")
        const { position } = yield* capture.until((record) => isOfItems(record) && record.value?.includes("\"op\":\"t\"") === true)
        // Many status intervals, by the server's own clock.
        const [slot] = yield* capture.sql("select pg_sleep(1), confirmed_flush_lsn::text as confirmed from pg_replication_slots where database = current_database()")
        assert.isTrue(Lsn.parse(String(slot!.confirmed)) <= position.commitLsn)
        yield* Fiber.interrupt(fiber)
        yield* Effect.promise(() => holder.end())
        assert.strictEqual(yield* asked, 0)
        yield* observed(capture.start)
        yield* capture.caughtUp
        yield* capture.caughtUp // the first one's row may be in the same batch, which is acknowledged before the request
        assert.strictEqual(yield* asked, 1)
        yield* settled(capture)
        yield* isTheTable(capture, "public.items", "id::int, v")
      })))
})
