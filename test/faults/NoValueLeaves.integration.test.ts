import { assert, describe, it } from "@effect/vitest"
import { Effect, Latch, type Layer } from "effect"
import { inspect } from "node:util"
import { catalogue } from "../../pipelines/Catalogue.ts"
import { decode } from "../../src/capture/PgOutput.ts"
import { AppConfig } from "../../src/Config.ts"
import { Postgres } from "../../src/connections/Postgres.ts"
import { readRecord } from "../../src/consume/EnvelopeReader.ts"
import { Lsn } from "../../src/domain/Lsn.ts"
import type { SourceChange } from "../../src/domain/SourceChange.ts"
import { columnsRead } from "../../src/materialize/SourceColumns.ts"
import { makeSourceReader } from "../../src/materialize/SourceReader.ts"
import * as Log from "../../src/observability/Log.ts"
import * as CaptureLoop from "../../src/run/CaptureLoop.ts"
import * as CaptureObserver from "../../src/run/CaptureObserver.ts"
import { type CaptureUnderTest, withCapture } from "../run/CaptureFixture.ts"

/** Planted in every value. What stands on a topic may hold it; what a person or a log collector is told may not. */
const secret = "ann-s3cr3t"

/** Everything that is logged, on every level, as it would be written. */
const listening = () => {
  const lines: Array<string> = []
  return { lines, layer: Log.layerOf({ level: "trace", format: "json" }, { write: (line) => void lines.push(line) }) }
}

/** Running, once the existing rows are published. Returns the wait for a table's gap. */
const startLogged = Effect.fnUntraced(function*(capture: CaptureUnderTest, layer: Layer.Layer<never>) {
  const streaming = yield* Latch.make(false)
  const gapped = yield* Latch.make(false)
  yield* Effect.forkScoped(capture.provide(CaptureLoop.run).pipe(
    Effect.provide(layer),
    Effect.provideService(CaptureObserver.CaptureObserver, {
      ...CaptureObserver.silent,
      snapshotTablesRemaining: (tables) => void (tables === 0 && streaming.openUnsafe()),
      gaps: (gaps) => void (gaps.length > 0 && gapped.openUnsafe())
    })
  ))
  yield* streaming.await
  return gapped.await
})

const sql = (capture: CaptureUnderTest, statement: string) => Effect.promise(() => capture.database.query(statement))

const assertSilent = (...told: ReadonlyArray<unknown>) => {
  const text = told.map((each) => typeof each === "string" ? each : `${inspect(each, { depth: 10 })} ${String(each)} ${JSON.stringify(each)}`).join("\n")
  assert.isAbove(text.length, 10)
  assert.notInclude(text, secret)
}

describe("a row's value is in no log and in no message", () => {
  it.live("of a capture whose records are too large, and then have no key", () =>
    withCapture({
      tables: "public.notes",
      ddl: `create table public.notes (id text primary key, code int not null unique, body text);
        insert into public.notes values ('${secret}', 1, repeat('${secret}', 1000)), ('2', 2, repeat('${secret}', 1000)), (repeat('${secret}', 300), 3, '')`,
      overrides: { publish: { maxRecordBytes: 2_000 } }
    }, (capture) =>
      Effect.gen(function*() {
        const { layer, lines } = listening()
        yield* capture.setup
        const gapped = yield* startLogged(capture, layer)
        // Deletes without their key: what no record can be made of.
        yield* sql(capture, `alter table public.notes replica identity using index notes_code_key; delete from public.notes where id = '${secret}'`)
        yield* gapped
        assert.isTrue(lines.some((line) => line.includes("a change can't be published")))
        assert.isTrue(lines.some((line) => line.includes("too large")))
        assertSilent(...lines)
        const letters = yield* capture.read("public.notes.capture.dlq")
        assert.strictEqual(letters.length, 3)
        assertSilent(...letters.map(({ headers, value }) => ({ headers, value })))
      })))

  it.live("of what Postgres refuses, though its own messages and details quote it", () =>
    withCapture({
      tables: "public.people",
      ddl: `create table public.people (id int primary key, email text unique check (length(email) < 40), born date);
        insert into public.people values (1, '${secret}', null);
        create function public.refuse() returns trigger language plpgsql as $$ begin
          raise exception 'no such person: %', new.email using errcode = new.id::text, detail = new.email, hint = new.email; end $$;
        create table public.strict (id int, email text); create trigger refuse before insert on public.strict for each row execute function public.refuse()`
    }, (capture) =>
      Effect.gen(function*() {
        const { layer, lines } = listening()
        const attempts: ReadonlyArray<readonly [code: string, statement: string, parameters: ReadonlyArray<unknown>]> = [
          ["23505", "insert into public.people values (2, $1)", [secret]],
          ["23514", "insert into public.people values (3, $1)", [secret.repeat(9)]],
          ["23502", "insert into public.people values (null, $1)", [secret]],
          ["22P02", "insert into public.people values ($1, '')", [secret]],
          ["22007", "insert into public.people values (4, '', $1)", [secret]],
          ["22P02", "select $1::jsonb", [`{"${secret}`]],
          ["22P02", "select $1::int[]", [`{${secret}}`]],
          ["2201B", "select 'x' ~ $1", [`${secret}(`]],
          ["23505", "insert into public.strict values (23505, $1)", [secret]],
          ["40001", "insert into public.strict values (40001, $1)", [secret]],
          ["57014", "insert into public.strict values (57014, $1)", [secret]]
        ]
        for (const [code, statement, parameters] of attempts) {
          const failed = capture.provide(Effect.flatMap(Postgres, (postgres) => postgres.query("Writing the aggregates", statement, parameters)))
          const error = yield* Effect.flip(failed.pipe(Effect.tapError((error) => Effect.logError("failed", error)), Effect.provide(layer)))
          assert.strictEqual(error.code, code, statement)
          assertSilent(error, error.message)
        }
        assertSilent(...lines)
      })))

  it("of bytes that can't be decoded", () => {
    const bytes = Buffer.concat([Buffer.from("I"), Buffer.alloc(4, 1), Buffer.from("N"), Buffer.from([0, 2]), Buffer.from(`t${secret}${secret}`)])
    for (const frame of [bytes, Buffer.from(secret), Buffer.concat([Buffer.from("R"), Buffer.from(secret)])]) {
      let thrown: unknown
      try {
        decode(frame)
      } catch (error) {
        thrown = error
      }
      assert.instanceOf(thrown, Error)
      assertSilent(thrown, (thrown as Error).message)
    }
  })

  it.effect("of a record that a pipeline can't read, whichever column is wrong", () =>
    Effect.gen(function*() {
      const { pipelineSettings } = yield* AppConfig
      const position = { epoch: 1, commitLsn: Lsn(1n), order: 1 }
      const record = { topic: "t", partition: 0, offset: 0n, key: null, value: null, headers: [] }
      let refused = 0
      for (const [name, define] of Object.entries(catalogue)) {
        const pipeline = define(pipelineSettings[name])
        const read = makeSourceReader(pipeline)
        for (const [source, { columns }] of columnsRead(pipeline).entries()) {
          const values: ReadonlyArray<unknown> = [secret, [secret], { [secret]: secret }, `["${secret}"]`]
          for (const value of values) {
            const row = Object.fromEntries(columns.map((column) => [column, value]))
            const change: SourceChange = { record, position, commitMicros: 0, xid: 1, kind: "upsert", key: secret, row, isRead: false, isNew: true }
            const { bad } = read([{ source, change }])
            refused += bad.length
            for (const { why } of bad) assertSilent(why)
          }
        }
      }
      assert.isAbove(refused, 10)
      for (const value of [secret, `{"op":"${secret}"`, `{"op":"${secret}","source":{},"transaction":{"id":"${secret}"}}`]) {
        assertSilent(readRecord({ ...record, value: Buffer.from(value) }))
      }
    }).pipe(Effect.provide(AppConfig.layerOf({ source: { databaseUrl: "postgres://u@localhost/d" }, kafka: { brokers: "localhost:9092" } }))))
})
