import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Layer, Scope } from "effect"
import { execFileSync } from "node:child_process"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import pg from "pg"
import { AppConfig } from "../../src/Config.ts"
import { Kafka } from "../../src/connections/Kafka.ts"
import { Postgres } from "../../src/connections/Postgres.ts"
import * as EmbeddedPostgres from "../../src/embedded/EmbeddedPostgres.ts"
import * as CaptureLoop from "../../src/run/CaptureLoop.ts"
import * as CaptureObserver from "../../src/run/CaptureObserver.ts"
import * as Setup from "../../src/run/Setup.ts"
import { createTopics } from "../support/TestTopics.ts"
import { envelope } from "./CaptureFixture.ts"

const settings = { fsync: "off", synchronous_commit: "off", full_page_writes: "off", restore_command: "false" }

/** A server whose files can be copied while it is stopped, and that begins a new timeline when it is promoted. */
const serverIn = (directory: string) => {
  let running: { readonly url: string; readonly scope: Scope.Closeable } | undefined
  const stop = Effect.suspend(() => {
    const scope = running?.scope
    running = undefined
    return scope === undefined ? Effect.void : Scope.close(scope, Exit.void)
  })
  const start = (name: string) =>
    Effect.gen(function*() {
      yield* stop
      const scope = yield* Scope.make()
      const { databaseUrl } = yield* Scope.provide(EmbeddedPostgres.start({ directory: join(directory, name), database: "hub", settings }), scope)
      running = { url: databaseUrl, scope }
    })
  return {
    start,
    stop,
    copy: (from: string, to: string) => Effect.sync(() => execFileSync("cp", ["-a", join(directory, from), join(directory, to)])),
    /** Recovers to the end of the WAL that it has, and goes on from there on a timeline of its own, as a promoted standby does. */
    startPromoted: (name: string) =>
      Effect.sync(() => writeFileSync(join(directory, name, "data/recovery.signal"), "", { mode: 0o666 })).pipe(Effect.andThen(start(name))),
    url: () => running!.url,
    query: <Row extends object>(statement: string) =>
      Effect.promise(async () => {
        const client = new pg.Client({ connectionString: running!.url })
        await client.connect()
        return await client.query(statement).then(({ rows }) => rows as Array<Row>).finally(() => client.end())
      })
  }
}

describe("a promoted standby", () => {
  it.live("is gone on with if it has all that is published, and refused if it lacks some, even where its WAL has passed that", () =>
    Effect.scoped(Effect.gen(function*() {
      const directory = yield* Effect.acquireRelease(
        Effect.sync(() => mkdtempSync(join(tmpdir(), "cdc-promoted-"))),
        (directory) => Effect.sync(() => rmSync(directory, { recursive: true, force: true }))
      )
      const topics = yield* Effect.acquireRelease(Effect.promise(() => createTopics()), ({ close }) => Effect.promise(close))
      const server = serverIn(directory)
      yield* Effect.addFinalizer(() => server.stop)
      const provide = <A, E>(work: Effect.Effect<A, E, AppConfig | Kafka | Postgres>) =>
        Effect.provide(work, Layer.mergeAll(Postgres.layer, Kafka.layer).pipe(Layer.provideMerge(AppConfig.layerOf({
          source: { databaseUrl: server.url(), tables: "public.items" },
          kafka: { brokers: topics.brokers.join(","), topicPrefix: topics.prefix, partitions: 1 }
        }))))
      /** Runs capture until a row that is inserted now is published. */
      const publish = (id: number) =>
        Effect.gen(function*() {
          const published = Promise.withResolvers<void>()
          const observer = { ...CaptureObserver.silent, published: () => published.resolve() }
          const capture = yield* Effect.forkChild(provide(CaptureLoop.run).pipe(Effect.provideService(CaptureObserver.CaptureObserver, observer)))
          yield* server.query(`insert into public.items values (${id})`)
          yield* Effect.raceFirst(Fiber.join(capture), Effect.promise(() => published.promise))
          yield* Fiber.interrupt(capture)
        })

      yield* server.start("primary")
      yield* server.query("create table public.items (id int primary key)")
      yield* provide(Setup.setup)
      yield* publish(1)
      yield* server.stop
      yield* server.copy("primary", "late")
      yield* server.start("primary")
      yield* publish(2)
      yield* server.stop

      yield* server.startPromoted("late")
      yield* server.query("insert into public.items select n from generate_series(100, 20000) n") // past the lost history
      const refused = yield* Effect.flip(publish(3))
      assert.match(String(refused), /timeline 2 left timeline 1 at .* but the topics end at .*cdc setup --resnapshot/s)

      yield* server.startPromoted("primary")
      yield* publish(4)
      const records = yield* Effect.promise(() => topics.readTopic(`${topics.prefix}.public.items`))
      assert.deepStrictEqual(records.map((record) => [(envelope(record).after as { id: number }).id, envelope(record).source.epoch]), [[1, 1], [2, 1], [4, 1]])
      const journal = yield* Effect.promise(() => topics.readTopic(`${topics.prefix}.cdc.journal`))
      assert.deepStrictEqual([...new Set(journal.map(({ value }) => JSON.parse(value!.toString()).timeline))], [1, 2])
    })), 120_000)
})
