import { assert } from "@effect/vitest"
import { Deferred, Effect, Fiber, Layer, Logger, type Scope } from "effect"
import { AppConfig } from "../../src/Config.ts"
import { Kafka } from "../../src/connections/Kafka.ts"
import { Postgres } from "../../src/connections/Postgres.ts"
import type { OutgoingRecord } from "../../src/domain/OutgoingRecord.ts"
import * as Position from "../../src/domain/Position.ts"
import * as RecordPosition from "../../src/publish/RecordPosition.ts"
import * as TopicWriter from "../../src/publish/TopicWriter.ts"
import type { CaptureFailure } from "../../src/run/CaptureFailure.ts"
import * as CaptureLoop from "../../src/run/CaptureLoop.ts"
import { Outbox } from "../../src/run/Outbox.ts"
import * as Setup from "../../src/run/Setup.ts"
import * as Teardown from "../../src/run/Teardown.ts"
import * as TestConfig from "../support/TestConfig.ts"
import { type OwnDatabase, TestDatabase } from "../support/TestDatabase.ts"
import { type OwnTopics, type ReadRecord, TestTopics } from "../support/TestTopics.ts"

/** A capture of a database and topics of its own, and a look at what leaves it. */
export interface CaptureUnderTest {
  readonly database: OwnDatabase
  readonly topics: OwnTopics
  readonly setup: Effect.Effect<ReadonlyArray<string>, unknown>
  readonly teardown: Effect.Effect<ReadonlyArray<string>, unknown>
  /** Runs the loop in the background; interrupt it to stop. What it fails with is the fiber's. */
  readonly start: Effect.Effect<Fiber.Fiber<never, CaptureFailure>, never, Scope.Scope>
  /** Everything acknowledged by Kafka, over all runs. */
  readonly written: ReadonlyArray<OutgoingRecord>
  /** Until a record that was acknowledged (also before the call) satisfies `is`. */
  readonly until: (is: (record: OutgoingRecord) => boolean) => Effect.Effect<OutgoingRecord>
  /** Runs statements on the database, one after the other; the rows of the last. */
  readonly sql: <Row extends object = Readonly<Record<string, unknown>>>(...statements: ReadonlyArray<string>) => Effect.Effect<ReadonlyArray<Row>>
  /** Until all that is committed now is acknowledged: writes a row into `public.fence` and waits for it in the stream. */
  readonly caughtUp: Effect.Effect<void>
  /** Before each write to Kafka: wait on what this gives. */
  gate: (records: ReadonlyArray<OutgoingRecord>) => Effect.Effect<void>
  /** The table's topic, by partition and offset. */
  readonly read: (table: string) => Effect.Effect<ReadonlyArray<ReadRecord>>
  readonly provide: <A, E>(effect: Effect.Effect<A, E, AppConfig | Kafka | Postgres>) => Effect.Effect<A, E>
}

export interface CaptureOptions {
  /** Comma-separated; `public.fence` is made and captured besides. */
  readonly tables: string
  readonly ddl: string
  readonly overrides?: TestConfig.Overrides
  /** Another Postgres than the run's own, as `inject("postgres15Url")`. */
  readonly server?: string
}

export const withCapture = <A, E>(
  options: CaptureOptions,
  test: (capture: CaptureUnderTest) => Effect.Effect<A, E, Scope.Scope>
): Effect.Effect<A, E> =>
  Effect.scoped(Effect.gen(function*() {
    const database = yield* TestDatabase
    const topics = yield* TestTopics
    yield* Effect.promise(() => database.query(`create table public.fence (id int primary key); ${options.ddl}`))
    const services = yield* Effect.context<AppConfig | Kafka | Postgres>()
    const provide = <A, E>(effect: Effect.Effect<A, E, AppConfig | Kafka | Postgres>) => Effect.provideContext(effect, services)
    const written: Array<OutgoingRecord> = []
    const waiting = new Set<{ readonly is: (record: OutgoingRecord) => boolean; readonly seen: Deferred.Deferred<OutgoingRecord> }>()

    const until = (is: (record: OutgoingRecord) => boolean) =>
      Effect.gen(function*() {
        const seen = yield* Deferred.make<OutgoingRecord>()
        const before = written.find(is)
        if (before !== undefined) return before
        waiting.add({ is, seen })
        return yield* Deferred.await(seen)
      })

    /** Copies: the memory of what Kafka has acknowledged is written again. */
    const noteWritten = (acknowledged: ReadonlyArray<OutgoingRecord>) =>
      Effect.gen(function*() {
        const records = acknowledged.map((record) => ({ ...record, key: record.key && Buffer.from(record.key), value: record.value && Buffer.from(record.value) }))
        written.push(...records)
        for (const waiter of waiting) {
          const found = records.find(waiter.is)
          if (found === undefined) continue
          waiting.delete(waiter)
          yield* Deferred.succeed(waiter.seen, found)
        }
      })

    let fences = 0
    const capture: CaptureUnderTest = {
      database,
      topics,
      written,
      until,
      provide,
      gate: () => Effect.void,
      setup: provide(Setup.setup),
      teardown: provide(Teardown.teardown),
      start: Effect.forkScoped(provide(CaptureLoop.run).pipe(
        Effect.provideService(Outbox, {
          open: (writerOptions) =>
            Effect.map(TopicWriter.make(writerOptions), (writer): TopicWriter.TopicWriter => ({
              write: (records) =>
                Effect.suspend(() => capture.gate(records)).pipe(
                  Effect.andThen(writer.write(records)),
                  Effect.tap(() => noteWritten(records))
                )
            }))
        }),
        Effect.provide(Logger.layer([]))
      )),
      caughtUp: Effect.suspend(() => {
        const id = ++fences
        return Effect.promise(() => database.query("insert into public.fence values ($1)", [id])).pipe(
          Effect.andThen(until((record) => record.topic.endsWith(".public.fence") && record.key?.toString() === `{"id":${id}}`)),
          Effect.map((record) => envelope(record).op === "c")
        )
      }).pipe(
        Effect.repeat({ while: (isStreamed) => !isStreamed }), // a snapshot that has the row may read it before others
        Effect.asVoid
      ),
      sql: <Row extends object>(...statements: ReadonlyArray<string>) =>
        Effect.promise(async () => {
          let rows: ReadonlyArray<Row> = []
          for (const statement of statements) rows = await database.query<Row>(statement)
          return rows
        }),
      read: (table) => Effect.promise(() => topics.readTopic(`${topics.prefix}.${table}`))
    }
    return yield* test(capture)
  }).pipe(Effect.provide(services(options)))) as Effect.Effect<A, E>

const services = (options: CaptureOptions) =>
  Layer.mergeAll(Postgres.layer, Kafka.layer).pipe(
    Layer.provideMerge(TestConfig.layer({
      ...options.overrides,
      source: { tables: `${options.tables}, public.fence`, ...options.overrides?.source },
      kafka: { partitions: 2, ...options.overrides?.kafka }
    })),
    Layer.provideMerge(Layer.mergeAll(TestDatabase.layerOn(options.server), TestTopics.layer))
  )

export interface Envelope {
  readonly op: string
  readonly before: Readonly<Record<string, unknown>> | null
  readonly after: Readonly<Record<string, unknown>> | null
  readonly source: { readonly snapshot: string; readonly epoch: number; readonly txId: number | null; readonly ts_us: number }
  readonly transaction: { readonly id: string; readonly total_order: number; readonly data_collection_order: number }
}

export const envelope = (record: { readonly value: Buffer | null }): Envelope => JSON.parse(record.value!.toString()) as Envelope

/** The positions of a topic that do not grow along their partition (a tombstone's may be its delete's); none if all is well. */
export const disorder = (records: ReadonlyArray<ReadRecord>): ReadonlyArray<string> => {
  const last = new Map<number, Position.Position>()
  return records.flatMap((record) => {
    const headers = Object.entries(record.headers).map(([name, value]) => [Buffer.from(name), Buffer.from(value)] as const)
    const read = RecordPosition.read(record.value, headers)
    if (read === undefined) return [`partition ${record.partition} offset ${record.offset}: no position`]
    const before = last.get(record.partition)
    last.set(record.partition, read.position)
    const order = before === undefined ? 1 : Position.compare(read.position, before)
    const grows = record.value === null ? order === 0 : order > 0
    return grows ? [] : [`partition ${record.partition} offset ${record.offset}: ${Position.format(read.position)} after ${Position.format(before!)}`]
  })
}

/** What a reader of the topic ends up with: the last value per key, without what is deleted. */
export const finalState = (records: ReadonlyArray<ReadRecord>): ReadonlyMap<string, Readonly<Record<string, unknown>>> => {
  const rows = new Map<string, Readonly<Record<string, unknown>>>()
  for (const record of records) {
    const key = record.key!.toString()
    if (record.value === null) rows.delete(key)
    else if (envelope(record).after !== null) rows.set(key, envelope(record).after!)
  }
  return rows
}

/** Everything committed is in the table's topic, which, read to its end, is the table, in order; gives its records. */
export const isTheTable = Effect.fnUntraced(function*(capture: CaptureUnderTest, table: string, columns = "*") {
  yield* capture.caughtUp
  const records = yield* capture.read(table)
  const rows = yield* capture.sql(`select ${columns} from ${table} order by id`)
  assert.deepStrictEqual([...finalState(records).values()].toSorted((a, b) => Number(a.id) - Number(b.id)), [...rows])
  assert.deepStrictEqual(disorder(records), [])
  return records
})
