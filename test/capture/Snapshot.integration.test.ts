import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import * as Snapshot from "../../src/capture/Snapshot.ts"
import { Postgres } from "../../src/connections/Postgres.ts"
import * as TestConfig from "../support/TestConfig.ts"
import { TestDatabase } from "../support/TestDatabase.ts"
import { TestTopics } from "../support/TestTopics.ts"

describe("opening a snapshot", () => {
  it.live("gives way to a transaction that writes and then alters a table to be read", () =>
    Effect.scoped(Effect.gen(function*() {
      const database = yield* TestDatabase
      const query = (statement: string) => Effect.promise(() => database.query(statement))
      yield* query("create table public.items (id int primary key); create table public.other (id int)")
      const open = Effect.scoped(Snapshot.open([{ schema: "public", table: "items" }], 2))
      const hub = yield* (yield* Postgres).connect({})
      const inHub = (statement: string) => Effect.promise(() => hub.query(statement))
      yield* inHub("begin; insert into public.other values (1)")
      const error = yield* Effect.flip(open)
      assert.deepStrictEqual([error.code, error.isRetryable], ["55P03", true])
      // Our locks are gone, or this would wait for ever.
      yield* inHub("alter table public.items add column a int; commit")
      yield* Effect.retry(open, { while: (error) => error.isRetryable }) // other tests' transactions may be in the way, too
      const left = yield* query("select from pg_replication_slots where slot_name like 'cdc_snapshot_%' and database = current_database()")
      assert.lengthOf(left as ReadonlyArray<unknown>, 0)
    })).pipe(Effect.provide(Postgres.layer.pipe(
      Layer.provideMerge(TestConfig.layer()),
      Layer.provideMerge(Layer.mergeAll(TestDatabase.layer, TestTopics.layer))
    ))), 20_000)
})
