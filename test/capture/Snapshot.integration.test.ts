import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import * as Catalogue from "../../src/capture/Catalogue.ts"
import * as Snapshot from "../../src/capture/Snapshot.ts"
import { AppConfig } from "../../src/Config.ts"
import { Postgres } from "../../src/connections/Postgres.ts"
import type { Relation } from "../../src/domain/RowChange.ts"
import * as TestConfig from "../support/TestConfig.ts"
import { type OwnDatabase, TestDatabase } from "../support/TestDatabase.ts"
import { TestTopics } from "../support/TestTopics.ts"

const services = Postgres.layer.pipe(
  Layer.provideMerge(TestConfig.layer()),
  Layer.provideMerge(Layer.mergeAll(TestDatabase.layer, TestTopics.layer))
)

/** Other tests' transactions may be in the way. */
const open = (...tables: ReadonlyArray<string>) =>
  Effect.retry(Snapshot.open(tables.map((table) => ({ schema: "public", table })), 2), { while: (error) => error.isRetryable })

const relationOf = Effect.fnUntraced(function*(table: string): Effect.fn.Return<Relation, unknown, Postgres> {
  const catalogue = Catalogue.make(yield* Postgres)
  const announced = yield* catalogue.announce({ schema: "public", table }, false)
  return yield* catalogue.resolve(announced!.message)
})

/** Connects as a role that may replicate and read so much; removed at the end. */
const asRole = <A, E>(database: OwnDatabase, grants: (role: string) => string, work: Effect.Effect<A, E, AppConfig | Postgres>) => {
  const role = `reader_${database.name}`
  const url = new URL(database.url)
  url.username = role
  url.password = role
  return Effect.acquireUseRelease(
    Effect.promise(() => database.query(`create role ${role} login replication password '${role}'; ${grants(role)}`)),
    () => Effect.scoped(Effect.provide(work, Layer.fresh(Postgres.layer).pipe(
      Layer.provideMerge(AppConfig.layerOf({ source: { databaseUrl: url.href }, kafka: { brokers: "unused" } }))
    ))),
    () => Effect.promise(() => database.query(`drop owned by ${role}; drop role ${role}`))
  )
}

describe("opening a snapshot", () => {
  it.live("gives way to a transaction that writes and then alters a table to be read", () =>
    Effect.scoped(Effect.gen(function*() {
      const database = yield* TestDatabase
      const query = (statement: string) => Effect.promise(() => database.query(statement))
      yield* query("create table public.items (id int primary key); create table public.other (id int)")
      const hub = yield* (yield* Postgres).connect({})
      const inHub = (statement: string) => Effect.promise(() => hub.query(statement))
      yield* inHub("begin; insert into public.other values (1)")
      const error = yield* Effect.flip(Effect.scoped(Snapshot.open([{ schema: "public", table: "items" }], 2)))
      assert.deepStrictEqual([error.code, error.isRetryable], ["55P03", true])
      // Our locks are gone, or this would wait for ever.
      yield* inHub("alter table public.items add column a int; commit")
      yield* Effect.scoped(open("items"))
      const left = yield* query("select from pg_replication_slots where slot_name like 'cdc_snapshot_%' and database = current_database()")
      assert.lengthOf(left as ReadonlyArray<unknown>, 0)
    })).pipe(Effect.provide(services)), 20_000)

  it.live("reads partitions one by one where it may, else through their root; and nothing of which a policy hides rows", () =>
    Effect.scoped(Effect.gen(function*() {
      const database = yield* TestDatabase
      yield* Effect.promise(() => database.query(`create table public.parted (id int) partition by range (id);
        create table public.low partition of public.parted for values from (0) to (10); create table public.high partition of public.parted for values from (10) to (20);
        insert into public.parted select generate_series(0, 19); create table public.secret (id int); insert into public.secret values (1);
        alter table public.secret enable row level security`))
      const work = Effect.scoped(Effect.gen(function*() {
        const snapshot = yield* open("parted", "secret")
        const [parted, secret] = yield* snapshot.plan([yield* relationOf("parted"), yield* relationOf("secret")], 1_000_000)
        const rows: Array<string> = []
        for (const piece of parted!.pieces) {
          const next = yield* snapshot.readers[0]!.read(piece)
          for (let chunk = yield* next; chunk.rows.length > 0; chunk = yield* next) rows.push(...chunk.rows.map((row) => row.at(0)!))
        }
        assert.sameMembers(rows, Array.from({ length: 20 }, (_, id) => `${id}`))
        const refused = yield* Effect.flip(Effect.flatten(snapshot.readers[1]!.read(secret!.pieces[0]!)))
        assert.deepStrictEqual([refused.reason, refused.message.includes("public.secret")], ["forbidden", true])
        return parted!.pieces.length
      }))
      const both = (role: string) => `grant select on public.parted, public.secret to ${role}`
      assert.strictEqual(yield* asRole(database, both, work), 1)
      assert.strictEqual(yield* asRole(database, (role) => `${both(role)}; grant select on public.low, public.high to ${role}`, work), 2)
    })).pipe(Effect.provide(services)), 20_000)
})
