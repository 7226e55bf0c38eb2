import { assert, layer } from "@effect/vitest"
import { Deferred, Effect, Latch, Layer, Logger } from "effect"
import pg from "pg"
import type { WalMessage } from "../../src/capture/WalMessage.ts"
import * as ReplicationStream from "../../src/capture/ReplicationStream.ts"
import { AppConfig } from "../../src/Config.ts"
import { Postgres } from "../../src/connections/Postgres.ts"
import * as Lsn from "../../src/domain/Lsn.ts"
import * as Proxy from "../support/Proxy.ts"
import * as TestConfig from "../support/TestConfig.ts"
import { TestDatabase } from "../support/TestDatabase.ts"
import { TestTopics } from "../support/TestTopics.ts"

const Support = Postgres.layer.pipe(
  Layer.provideMerge(TestConfig.layer()),
  Layer.provideMerge(Layer.mergeAll(TestDatabase.layer, TestTopics.layer))
)

type Commit = Extract<WalMessage, { readonly _tag: "Commit" }>

/** A table, a publication and a slot, all of this name. */
const prepare = (name: string) =>
  Effect.gen(function*() {
    const database = yield* TestDatabase
    const slot = `${TestConfig.slotOf(database.name)}_${name}`
    yield* Effect.promise(() => database.query(`create table ${name} (id int primary key); create publication ${slot} for table ${name}`))
    yield* Effect.promise(() => database.query("select pg_create_logical_replication_slot($1, 'pgoutput')", [slot]))
    const query = (statement: string) => Effect.promise(() => database.query(statement))
    const confirmed = Effect.map(
      Effect.promise(() => database.query<{ lsn: string }>("select confirmed_flush_lsn::text as lsn from pg_replication_slots where slot_name = $1", [slot])),
      ([row]) => Lsn.parse(row!.lsn)
    )
    return { slot, query, confirmed, options: { slot, publication: slot, walSenderTimeoutSeconds: 5, statusIntervalSeconds: 0.2, maxBufferedBytes: 1_000_000 } }
  })

/** Two transactions at a time that commit one right after the other, so that one's record starts where the other's ends. */
const commitInPairs = async (url: string, table: string, pairs: number, firstId: number) => {
  const clients = [new pg.Client({ connectionString: url }), new pg.Client({ connectionString: url })]
  await Promise.all(clients.map((client) => client.connect()))
  for (let pair = 0; pair < pairs; pair++) {
    await Promise.all(clients.map((client, index) =>
      client.query(`begin; set local synchronous_commit = off; insert into ${table} values (${firstId + pair * 2 + index})`)))
    await Promise.all(clients.map((client) => client.query("commit")))
  }
  await Promise.all(clients.map((client) => client.end()))
}

/** Confirms at once what is safe. */
const openConfirming = (options: ReplicationStream.StreamOptions) =>
  Effect.tap(ReplicationStream.open(options), (stream) => Effect.forkScoped(stream.confirming(() => Effect.void)))

/** Takes until as many transactions have ended. */
const takeCommits = (stream: ReplicationStream.ReplicationStream, count: number) =>
  Effect.gen(function*() {
    const messages: Array<WalMessage> = []
    const commits = () => messages.filter((message): message is Commit => message._tag === "Commit")
    while (commits().length < count) messages.push(...(yield* stream.take))
    return { commits: commits(), inserted: messages.flatMap((message) => (message._tag === "Insert" ? [message.after.at(0)] : [])) }
  })

layer(Support, { excludeTestServices: true })("the replication stream", (it) => {
  it.effect("confirms exactly a commit's end: an adjacent transaction is not lost", () =>
    Effect.gen(function*() {
      const database = yield* TestDatabase
      const { confirmed, options } = yield* prepare("adjacent")
      const first = yield* Effect.scoped(Effect.gen(function*() {
        const stream = yield* openConfirming(options)
        const commits: Array<Commit> = []
        const adjacent = () => commits.findIndex((commit, index) => commits[index + 1]?.commitLsn === commit.endLsn)
        // Others write into the same WAL: it takes as many pairs as it takes until nothing comes between the two of one.
        while (adjacent() < 0) {
          yield* Effect.promise(() => commitInPairs(database.url, "adjacent", 20, commits.length))
          commits.push(...(yield* takeCommits(stream, 40)).commits)
        }
        const last = commits[adjacent()]!
        stream.confirm(last.endLsn)
        return { last, rest: commits.length - commits.indexOf(last) - 1 }
      }))
      assert.strictEqual(yield* confirmed, first.last.endLsn)
      const again = yield* Effect.scoped(Effect.flatMap(ReplicationStream.open(options), (stream) => takeCommits(stream, first.rest)))
      assert.strictEqual(again.inserted.length, first.rest)
    }))

  it.effect("refuses to confirm backwards or what was never received", () =>
    Effect.gen(function*() {
      const { options, query } = yield* prepare("bounds")
      yield* query("insert into bounds values (1)")
      yield* query("insert into bounds values (2)")
      const stream = yield* ReplicationStream.open(options)
      const { commits: [first, second] } = yield* takeCommits(stream, 2)
      stream.confirm(second!.endLsn)
      assert.throws(() => stream.confirm(first!.endLsn), RangeError)
      assert.throws(() => stream.confirm(Lsn.Lsn(second!.endLsn + 1_000_000_000n)), RangeError)
    }))

  it.effect("moves an idle slot with the end of the WAL, and not while a commit is outstanding", () =>
    Effect.gen(function*() {
      const { confirmed, options, query } = yield* prepare("idle")
      yield* query("insert into idle values (1)")
      const [outstanding] = yield* Effect.scoped(Effect.gen(function*() {
        const stream = yield* openConfirming(options)
        const { commits } = yield* takeCommits(stream, 1)
        yield* query("create table elsewhere (id int)")
        yield* query("select pg_sleep(0.5)") // two status intervals, on the server's clock
        return commits
      }))
      // Up to the commit a keepalive may have moved it: other databases write, too.
      assert.isTrue((yield* confirmed) <= outstanding!.commitLsn)
      yield* Effect.scoped(Effect.gen(function*() {
        const stream = yield* openConfirming(options)
        yield* takeCommits(stream, 1)
        stream.confirm(outstanding!.endLsn)
        yield* query("drop table elsewhere")
        yield* query("select pg_sleep(0.5)")
      }))
      assert.isTrue((yield* confirmed) > outstanding!.endLsn)
    }))

  it.effect("tells the server no position before it is noted elsewhere, of keepalives neither", () =>
    Effect.gen(function*() {
      const { confirmed, options, query } = yield* prepare("noted")
      const before = yield* confirmed
      yield* query("insert into noted values (1)")
      const noting = yield* Deferred.make<Lsn.Lsn>()
      const mayNote = yield* Latch.make(false)
      const noted: Array<Lsn.Lsn> = []
      yield* Effect.scoped(Effect.gen(function*() {
        const stream = yield* ReplicationStream.open(options)
        const note = (lsn: Lsn.Lsn) =>
          Deferred.succeed(noting, lsn).pipe(Effect.andThen(mayNote.await), Effect.andThen(Effect.sync(() => void noted.push(lsn))))
        yield* Effect.forkScoped(stream.confirming(note))
        const { commits: [commit] } = yield* takeCommits(stream, 1)
        stream.confirm(commit!.endLsn)
        yield* Deferred.await(noting)
        yield* query("create table elsewhere_noted (id int)")
        yield* query("select pg_sleep(0.5)") // two status intervals, on the server's clock
        assert.strictEqual(yield* confirmed, before)
        yield* mayNote.open
        const told = yield* confirmed.pipe(Effect.repeat({ while: (lsn) => lsn < commit!.endLsn }))
        assert.include(noted, told)
      }))
    }))

  it.effect("takes the slot over from a reader that fell silent, within its own wal_sender_timeout and a second", () =>
    Effect.gen(function*() {
      const { url } = yield* TestDatabase
      const { options } = yield* prepare("silent")
      const { hostname, port } = new URL(url)
      const proxy = yield* Effect.acquireRelease(
        Effect.promise(() => Proxy.start({ host: hostname, port: Number(port) })),
        (proxy) => Effect.promise(proxy.close)
      )
      const proxied = new URL(url)
      proxied.port = String(proxy.port)
      const behindProxy = Layer.fresh(Postgres.layer).pipe(Layer.provide(AppConfig.layerOf({ source: { databaseUrl: proxied.href }, kafka: { brokers: "nobody:1" } })))
      const timed = { ...options, walSenderTimeoutSeconds: 2 }
      yield* Effect.provide(Effect.asVoid(ReplicationStream.open(timed)), behindProxy)
      proxy.hold()
      const began = performance.now()
      const told: Array<string> = []
      yield* Effect.provide(ReplicationStream.open(timed), Logger.layer([Logger.make(({ message }) => void told.push(String(message)))]))
      assert.match(told.join("; "), /is read by another process: standing by to take over; .* is free, and taken over/)
      assert.isBelow(performance.now() - began, 2_000 + 1_000 + 1_500, "the timeout, a poll, and a busy machine")
    }).pipe(Effect.scoped))

  it.effect("says so when the publication is gone, instead of streaming nothing", () =>
    Effect.gen(function*() {
      const { options, query, slot } = yield* prepare("unpublished")
      yield* query(`drop publication ${slot}`)
      yield* query("insert into unpublished values (1)")
      const stream = yield* ReplicationStream.open(options)
      const error = yield* Effect.flip(takeCommits(stream, 1))
      assert.strictEqual(error.reason, "gap")
      assert.match(error.message, /cdc setup --resnapshot/)
    }))

  it.effect("says which slot is missing, and does not wait for it", () =>
    Effect.gen(function*() {
      const { options } = yield* prepare("slotless")
      const error = yield* Effect.flip(ReplicationStream.open({ ...options, slot: "cdc_never_made" }))
      assert.deepStrictEqual([error._tag, error.isRetryable], ["PostgresError", false])
      assert.match(error.message, /cdc_never_made.*does not exist/)
    }))
})
