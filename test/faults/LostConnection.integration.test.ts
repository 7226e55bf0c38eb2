import { assert, layer } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { Postgres } from "../../src/connections/Postgres.ts"
import * as TestConfig from "../support/TestConfig.ts"
import { TestDatabase } from "../support/TestDatabase.ts"
import { TestTopics } from "../support/TestTopics.ts"

const services = Postgres.layer.pipe(Layer.provideMerge(TestConfig.layer()), Layer.provideMerge(Layer.mergeAll(TestDatabase.layer, TestTopics.layer)))

layer(services, { excludeTestServices: true })("a connection that the server ends", (it) => {
  it.effect("between two statements of a transaction fails the transaction, as retryable, and nothing else", () =>
    Effect.gen(function*() {
      const postgres = yield* Postgres
      const database = yield* TestDatabase
      const error = yield* Effect.flip(postgres.transaction((sql) =>
        Effect.gen(function*() {
          const [row] = yield* sql.query<{ pid: number }>("Asking who we are", "select pg_backend_pid() as pid")
          // Waits until the backend is gone; what it said last is then on its way to our idle socket.
          yield* Effect.promise(() => database.query("select pg_terminate_backend($1, 5000)", [row!.pid]))
          yield* untilEventsAreHandled
          return yield* sql.query("Going on", "select 1")
        })
      ))
      assert.strictEqual(error._tag, "PostgresError")
      assert.isTrue(error.isRetryable, error.message)
      const rows = yield* postgres.transaction((sql) => sql.query<{ one: number }>("Asking again", "select 1 as one"))
      assert.deepStrictEqual(rows, [{ one: 1 }])
    }))
})

/** A round trip on another connection, so that whatever came before it on this machine's sockets has been read. */
const untilEventsAreHandled = Effect.flatMap(Postgres, (postgres) => postgres.query("Asking on another connection", "select 1"))
