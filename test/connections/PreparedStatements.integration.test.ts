import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { Postgres } from "../../src/connections/Postgres.ts"
import * as TestConfig from "../support/TestConfig.ts"
import { TestDatabase } from "../support/TestDatabase.ts"
import { TestTopics } from "../support/TestTopics.ts"

const onOneConnection = Postgres.layer.pipe(
  Layer.provideMerge(TestConfig.layer({ source: { poolSize: 1 } })),
  Layer.provideMerge(Layer.mergeAll(TestDatabase.layer, TestTopics.layer))
)

const planned = "select count(*) as planned from pg_prepared_statements where statement like 'select n from unnest%'"

describe("statements with parameters", () => {
  it.effect("are prepared once, but not for long arrays, which are planned as they are", () =>
    Effect.gen(function*() {
      const postgres = yield* Postgres
      const numbers = (count: number) => postgres.query("Counting", "select n from unnest($1::int[]) n", [Array.from({ length: count }, (_, n) => n)])
      yield* numbers(5_000)
      assert.deepStrictEqual(yield* postgres.query("Looking", planned), [{ planned: 0n }])
      assert.lengthOf(yield* numbers(1), 1)
      assert.lengthOf(yield* numbers(100), 100)
      assert.lengthOf(yield* numbers(5_000), 5_000)
      assert.deepStrictEqual(yield* postgres.query("Looking", planned), [{ planned: 1n }])
    }).pipe(Effect.provide(onOneConnection)))

  it.effect("are prepared anew, after one failure that is to be tried again, when a column has got another type", () =>
    Effect.gen(function*() {
      const postgres = yield* Postgres
      const { query } = yield* TestDatabase
      yield* Effect.promise(() => query("create table notes (id int, body text); insert into notes values (1, '12')"))
      const body = postgres.transaction((sql) => sql.query("Reading notes", "select body from notes where id = $1", [1]))
      assert.deepStrictEqual(yield* body, [{ body: "12" }])
      yield* Effect.promise(() => query("alter table notes alter body type int using body::int"))
      const failed = yield* Effect.flip(body)
      assert.deepStrictEqual([failed.reason, failed.isRetryable], ["contended", true])
      assert.deepStrictEqual(yield* body, [{ body: 12 }])
    }).pipe(Effect.provide(onOneConnection)))
})
