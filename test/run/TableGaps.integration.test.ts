import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import * as TableName from "../../src/domain/TableName.ts"
import * as TableRepair from "../../src/run/TableRepair.ts"
import { type CaptureUnderTest, envelope, finalState, isTheTable, withCapture } from "./CaptureFixture.ts"
import { startObserved } from "./ObservedGaps.ts"

const people = {
  tables: "public.people, public.pets",
  ddl: `create table public.people (id int primary key, name text); insert into public.people select n, 'p' || n from generate_series(1, 20) n;
    create table public.pets (id int primary key)`
}
const name = TableName.TableName("public", "people")

const repair = (capture: CaptureUnderTest) => capture.provide(TableRepair.repair(name))

const publication = (capture: CaptureUnderTest) => `cdc_${capture.database.name}`

describe("a captured table of which changes may be missing", () => {
  it.live("taken out of the publication: is named, the others go on, and read again it has the deletes of the gap", () =>
    withCapture(people, (capture) =>
      Effect.gen(function*() {
        const { fiber, gapOf, none } = yield* startObserved(capture)
        yield* capture.sql(`alter publication ${publication(capture)} drop table public.people`)
        const gap = yield* gapOf("public.people")
        assert.match(gap.why, /taken out of publication/)
        assert.match(gap.remedy, /cdc snapshot public\.people/)
        yield* capture.sql("delete from public.people where id <= 3", "update public.people set name = 'new' where id = 4",
          "insert into public.people values (21, 'missed')", "insert into public.pets values (1)")
        yield* capture.caughtUp
        assert.strictEqual((yield* capture.read("public.pets")).length, 1)
        const cleared = yield* Effect.forkChild(none, { startImmediately: true })
        assert.isDefined(yield* repair(capture))
        yield* Fiber.join(cleared)
        const records = yield* isTheTable(capture, "public.people")
        const deletes = records.filter(({ value }) => value !== null && envelope({ value }).op === "d").map(({ value }) => JSON.parse(value!.toString()))
        assert.deepStrictEqual(deletes.map(({ before, source }) => [before, source.synthetic, source.snapshot]).toSorted((a, b) => a[0].id - b[0].id),
          [1, 2, 3].map((id) => [{ id, name: null }, true, "incremental"]))
        assert.strictEqual(records.filter(({ value }) => value === null).length, 3)
        assert.isUndefined(yield* repair(capture))
        assert.isUndefined(fiber.pollUnsafe())
      })))

  it.live("put back at once, or given a row filter: is gapped all the same", () =>
    withCapture(people, (capture) =>
      Effect.gen(function*() {
        const { gapOf, none } = yield* startObserved(capture)
        // In one transaction, or the watch may look in between, and say that it is out.
        yield* capture.sql(`alter publication ${publication(capture)} drop table public.people; delete from public.people where id = 1; `
          + `alter publication ${publication(capture)} add table public.people`)
        assert.match((yield* gapOf("public.people")).why, /taken out of publication .* and put back/)
        const cleared = yield* Effect.forkChild(none, { startImmediately: true })
        yield* repair(capture)
        yield* Fiber.join(cleared)
        yield* isTheTable(capture, "public.people")
        yield* capture.sql(`alter publication ${publication(capture)} set table public.people where (id > 10), public.pets, public.fence`)
        assert.match((yield* gapOf("public.people")).why, /row filter/)
        yield* capture.sql("insert into public.people values (5, 'filtered away') on conflict (id) do update set name = excluded.name")
        const again = yield* Effect.forkChild(none, { startImmediately: true })
        yield* repair(capture)
        yield* Fiber.join(again)
        yield* isTheTable(capture, "public.people")
      })))

  it.live("dropped and made again, also while capture is away: is found at the next start, and read again under its new key", () =>
    withCapture(people, (capture) =>
      Effect.gen(function*() {
        const { fiber, gapOf, none, observed } = yield* startObserved(capture)
        yield* Fiber.interrupt(fiber)
        yield* capture.sql("drop table public.people", "create table public.people (id int, name text, primary key (name, id))",
          "insert into public.people values (1, 'other'), (30, 'thirty')")
        const found = yield* Effect.forkChild(gapOf("public.people"), { startImmediately: true })
        yield* observed(capture.start)
        assert.match((yield* Fiber.join(found)).why, /dropped and made again/)
        const cleared = yield* Effect.forkChild(none, { startImmediately: true })
        yield* repair(capture)
        yield* Fiber.join(cleared)
        yield* isTheTable(capture, "public.people")
        assert.deepStrictEqual([...finalState(yield* capture.read("public.people")).keys()].toSorted(),
          ["{\"name\":\"other\",\"id\":1}", "{\"name\":\"thirty\",\"id\":30}"])
      })))

  it.live("its topic deleted: the others go on; made again by setup and read again it is complete", () =>
    withCapture(people, (capture) =>
      Effect.gen(function*() {
        const { fiber, gapOf, none } = yield* startObserved(capture)
        const topic = `${capture.topics.prefix}.public.people`
        yield* Effect.promise(() => capture.topics.remove([topic]))
        assert.match((yield* gapOf("public.people")).why, /topic .*\.public\.people is gone/)
        yield* capture.sql("insert into public.people values (22, 'nowhere to go')", "delete from public.people where id = 2")
        yield* capture.caughtUp
        assert.match(String(yield* Effect.flip(repair(capture))), /run `cdc setup` first/)
        yield* capture.setup
        const cleared = yield* Effect.forkChild(none, { startImmediately: true })
        yield* repair(capture)
        yield* Fiber.join(cleared)
        yield* isTheTable(capture, "public.people")
        assert.isUndefined(fiber.pollUnsafe())
      })))

  it.live("its topic deleted and made again, or cut, while capture is away: is found at the next start", () =>
    withCapture(people, (capture) =>
      Effect.gen(function*() {
        const { fiber, gapOf, none, observed } = yield* startObserved(capture)
        yield* Fiber.interrupt(fiber)
        const topic = `${capture.topics.prefix}.public.people`
        yield* Effect.promise(() => capture.topics.remove([topic]))
        yield* capture.setup
        const remade = yield* Effect.forkChild(gapOf("public.people"), { startImmediately: true })
        const second = yield* observed(capture.start)
        assert.match((yield* Fiber.join(remade)).why, /was deleted and made again/)
        const cleared = yield* Effect.forkChild(none, { startImmediately: true })
        yield* repair(capture)
        yield* Fiber.join(cleared)
        yield* isTheTable(capture, "public.people")
        yield* Fiber.interrupt(second)
        yield* capture.sql("update cdc.captured_tables set ends = array[1000000, 0] where table_name = 'public.people'")
        const cut = yield* Effect.forkChild(gapOf("public.people"), { startImmediately: true })
        yield* observed(capture.start)
        assert.match((yield* Fiber.join(cut)).why, /lost acknowledged records: partition 0 had reached offset 1000000/)
      })))

  it.live("its key changed: what is under the old one is swept when it is read again", () =>
    withCapture(people, (capture) =>
      Effect.gen(function*() {
        const { gapOf, none } = yield* startObserved(capture)
        yield* capture.sql("alter table public.people alter name set not null, drop constraint people_pkey, add primary key (name, id)",
          "update public.people set name = 'changed' where id = 1")
        assert.match((yield* gapOf("public.people")).why, /key changed from \(id\) to \(name, id\)/)
        const cleared = yield* Effect.forkChild(none, { startImmediately: true })
        yield* repair(capture)
        yield* Fiber.join(cleared)
        yield* isTheTable(capture, "public.people")
      })))

  it.live("is told of at once when its topic is given more partitions, and is whole again once that is made anew", () =>
    withCapture(people, (capture) =>
      Effect.gen(function*() {
        const { fiber } = yield* startObserved(capture)
        const topic = `${capture.topics.prefix}.public.people`
        yield* Effect.promise(() => capture.topics.admin.createPartitions({ topicPartitions: [{ topic, count: 9 }] }))
        const error = yield* Effect.flip(Fiber.join(fiber))
        assert.match(error.message, /public\.people has 9 partitions.*delete it, run `cdc setup`.*`cdc snapshot`/)
        yield* Effect.promise(() => capture.topics.remove([topic]))
        yield* capture.setup
        const { gapOf } = yield* startObserved(capture)
        assert.match((yield* gapOf("public.people")).why, /was deleted and made again/)
      })))
})
