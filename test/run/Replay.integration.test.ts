import { assert, layer } from "@effect/vitest"
import { Deferred, Effect, Fiber, Layer, References, Schedule, Schema } from "effect"
import * as Rereads from "../../src/capture/Rereads.ts"
import { AppConfig } from "../../src/Config.ts"
import { Kafka } from "../../src/connections/Kafka.ts"
import { Postgres } from "../../src/connections/Postgres.ts"
import { TableName } from "../../src/domain/TableName.ts"
import { makeOwnTables } from "../../src/materialize/OwnTables.ts"
import { entries, type Pipeline } from "../../src/materialize/Pipeline.ts"
import { createSharedTables } from "../../src/materialize/Registration.ts"
import { runInShadow } from "../../src/run/CandidateLoop.ts"
import { runPipeline } from "../../src/run/PipelineLoop.ts"
import { replay } from "../../src/run/Replay.ts"
import { verifyShadow } from "../../src/run/ShadowVerify.ts"
import { TestDatabase } from "../support/TestDatabase.ts"
import { TestTopics } from "../support/TestTopics.ts"

const layerOf = (mode: "live" | "shadow") =>
  Layer.mergeAll(Kafka.layer, Postgres.layer).pipe(
    Layer.provideMerge(Layer.unwrap(Effect.gen(function*() {
      const { brokers, prefix } = yield* TestTopics
      return AppConfig.layerOf({
        source: { databaseUrl: (yield* TestDatabase).url, tables: "shop.orders" },
        kafka: { brokers: brokers.join(","), topicPrefix: prefix },
        consume: { maxBytesPerPartition: 20_000, maxBatchChanges: 200 },
        pipelines: { totals: { mode }, pendingRetrySeconds: 0.1 }
      })
    }))),
    Layer.provideMerge(Layer.mergeAll(TestDatabase.layer, TestTopics.layer))
  )

const totals: Pipeline = {
  name: "totals",
  version: 1,
  settings: {},
  sources: [entries({
    table: TableName("shop", "orders"),
    row: Schema.Struct({ customer: Schema.String, amount: Schema.Number }),
    entry: (value) => ({ value }),
    contribute: ({ amount, customer }) => [{ group: "totals", key: customer, sums: { amount: BigInt(amount), orders: 1n } }]
  })],
  groups: {
    totals: {
      target: { table: TableName("reporting", "totals"), isOurs: true, key: { customer: "text" }, columns: { amount: "integer", orders: "integer" }, insert: true },
      render: (state) => ({ backed: state.sum("orders") > 0n, columns: { amount: Number(state.sum("amount")), orders: Number(state.sum("orders")) } })
    }
  }
}

const until = <E, R>(check: Effect.Effect<boolean, E, R>) =>
  check.pipe(Effect.filterOrFail((is) => is, () => "not yet" as const), Effect.retry({ schedule: Schedule.spaced("100 millis"), times: 300 }))

const quietly = Effect.provideService(References.MinimumLogLevel, "None")

/** A topic of orders, what they add up to, and a table of totals that pipelines keep. */
const shop = Effect.gen(function*() {
  const { admin, client, create, prefix } = yield* TestTopics
  const { source } = yield* AppConfig
  const postgres = yield* Postgres
  yield* createSharedTables(postgres, source.stateSchema)
  yield* Rereads.make(source.stateSchema, source.slot).createTable(postgres)
  yield* makeOwnTables(postgres, [totals])
  const topic = `${prefix}.shop.orders`
  const producer = client.producer()
  yield* Effect.promise(async () => {
    await create([{ topic, numPartitions: 3 }])
    await producer.connect()
  })
  yield* Effect.addFinalizer(() => Effect.promise(() => producer.disconnect()))
  const orders = new Map<number, { readonly customer: string; readonly amount: number }>()
  let lsn = 1_000
  const put = (rows: ReadonlyArray<readonly [id: number, customer: string, amount: number]>) => {
    const messages = rows.map(([id, customer, amount]) => {
      orders.set(id, { customer, amount })
      return {
        key: JSON.stringify({ id }),
        value: JSON.stringify({ op: "u", after: { id, customer, amount }, source: { epoch: 1, ts_us: 1_767_225_600_000_000 }, transaction: { id: `0:${++lsn}`, total_order: 1 } })
      }
    })
    return Effect.promise(() => producer.send({ topic, messages }))
  }
  const expected = () => {
    const sums = new Map<string, readonly [amount: number, orders: number]>()
    for (const { amount, customer } of orders.values()) {
      const [sum, count] = sums.get(customer) ?? [0, 0]
      sums.set(customer, [sum + amount, count + 1])
    }
    return [...sums].map(([customer, [amount, count]]) => `${customer} ${amount} ${count}`).toSorted()
  }
  const rows = (of = "%") =>
    Effect.map(
      postgres.query<{ row: string }>("Reading", "select format('%s %s %s', customer, amount, orders) as row from reporting.totals where orders > 0 and customer like $1", [of]),
      (found) => found.map(({ row }) => row).toSorted()
    )
  const isRight = Effect.map(rows(), (found) => JSON.stringify(found) === JSON.stringify(expected()))
  const one = <Row extends object>(statement: string) => Effect.map(postgres.query<Row>("Reading", statement), ([row]) => row)
  /** A record that no pipeline can use. */
  const setAside = Effect.promise(() => producer.send({ topic, messages: [{ key: JSON.stringify({ id: -1 }), value: "not JSON" }] }))
  return { admin, expected, isRight, one, postgres, put, rows, setAside, topic }
})

const many = (from: number, count: number, customers: number) =>
  Array.from({ length: count }, (_, n) => [from + n, `c${(from + n) % customers}`, 1 + n % 7] as const)

layer(layerOf("live"), { excludeTestServices: true })("cdc replay", (it) => {
  it.effect("rebuilds a wrong state while writes go on, interrupted, resumed and doubled, beneath two live instances; only what differs is written", () =>
    Effect.scoped(Effect.gen(function*() {
      const { expected, isRight, one, postgres, put, rows } = yield* shop
      yield* put([[1, "quiet", 10], [2, "wronged", 20], [3, "wronged", 5]])
      yield* put(many(10, 3_000, 50))
      for (const _ of [1, 2]) yield* Effect.forkScoped(runPipeline(totals).pipe(quietly))
      yield* until(isRight)
      yield* postgres.query("Corrupting", "update cdc.totals_1_entries set value = replace(value, '20', '99') where key = '2'")
      yield* postgres.query("Corrupting", `update cdc.totals_1_groups set state = '{"s":{"amount":"104","orders":"2"},"b":{}}' where key = 'wronged'`)
      yield* postgres.query("Corrupting", "update reporting.totals set amount = 104 where customer = 'wronged'")
      const quiet = yield* one("select xmin from reporting.totals where customer = 'quiet'")

      let next = 10_000
      const writer = yield* Effect.forkScoped(Effect.forever(Effect.andThen(Effect.suspend(() => put(many((next += 20) - 20, 20, 60))), Effect.sleep("30 millis"))))
      const started = yield* Deferred.make<void>()
      const first = yield* Effect.forkScoped(quietly(replay(totals, { anew: false, tell: ({ done }) => done > 0 && Deferred.doneUnsafe(started, Effect.void) })))
      yield* Deferred.await(started)
      yield* Fiber.interrupt(first)
      assert.deepStrictEqual(yield* rows("wronged"), ["wronged 104 2"])
      const ends = yield* Effect.all([replay(totals, { anew: false }), replay(totals, { anew: false })], { concurrency: 2 }).pipe(quietly)
      assert.isAbove(ends.filter(({ switchMillis }) => switchMillis !== null).length, 0)
      yield* until(Effect.map(rows("wronged"), ([row]) => row === "wronged 25 2"))
      yield* Fiber.interrupt(writer)
      yield* until(isRight)
      assert.deepStrictEqual(yield* rows(), expected())
      assert.deepStrictEqual(yield* one("select xmin from reporting.totals where customer = 'quiet'"), quiet)
      yield* until(Effect.map(one<{ n: bigint }>("select count(*) as n from cdc.pending"), (row) => row!.n === 0n))
      assert.deepStrictEqual(yield* one("select string_agg(name, ' ') as names from cdc.pipelines"), { names: "totals" })
      assert.deepStrictEqual(yield* one("select count(distinct split_part(tablename, '_', 2)) as generations from pg_tables where tablename like 'totals%entries'"), { generations: 1n })
    })))
})

layer(layerOf("live"), { excludeTestServices: true })("a replay", (it) => {
  it.effect("is what another version asks for: the old one runs until the switch, and stops then", () =>
    Effect.scoped(Effect.gen(function*() {
      const { admin, isRight, one, put, rows, setAside, topic } = yield* shop
      yield* put([[1, "a", 1], [2, "b", 2]])
      yield* setAside
      const letters = Effect.promise(async () => (await admin.fetchTopicOffsets(`${topic}.totals.dlq`)).map(({ high }) => high))
      const generation = Effect.map(one<{ generation: number }>("select generation from cdc.pipelines where name = 'totals'"), (row) => row!.generation)
      const old = yield* Effect.forkScoped(quietly(Effect.flip(runPipeline(totals))))
      yield* until(isRight)
      const before = yield* generation
      yield* until(Effect.map(one<{ n: bigint }>("select count(*) as n from cdc.totals_1_letters"), (row) => row!.n === 1n))
      assert.deepStrictEqual(yield* letters, ["1"])
      const newer: Pipeline = {
        ...totals,
        version: 2,
        groups: { totals: { ...totals.groups.totals!, render: (state) => ({ backed: true, columns: { amount: 2 * Number(state.sum("amount")), orders: Number(state.sum("orders")) } }) } }
      }
      const refused = yield* Effect.flip(quietly(runPipeline(newer)))
      assert.include(refused.message, "`cdc replay totals`")
      assert.strictEqual(refused.reason, "needsReplay")
      assert.strictEqual((yield* quietly(replay(newer, { anew: false }))).generation, before + 1)
      assert.strictEqual((yield* Fiber.join(old)).reason, "needsReplay")
      assert.deepStrictEqual(yield* rows(), ["a 1 1", "b 2 1"])
      assert.deepStrictEqual(yield* letters, ["1"], "what the live state has set aside is not set aside again")
      assert.deepStrictEqual(yield* one(`select count(*) as n from cdc.totals_${before + 1}_letters`), { n: 1n })
      yield* Effect.forkScoped(runPipeline(newer).pipe(quietly))
      yield* until(Effect.map(rows(), (found) => found.join() === "a 2 1,b 4 1"))
    })))
})

layer(layerOf("live"), { excludeTestServices: true })("the replay of a topic that was cut", (it) => {
  it.effect("is refused where the topic has lost its beginning, and begins behind it once the table was read again", () =>
    Effect.scoped(Effect.gen(function*() {
      const { admin, one, postgres, put, topic } = yield* shop
      const { source } = yield* AppConfig
      yield* put(many(1, 30, 3))
      const cut = Effect.tryPromise(() => admin.deleteTopicRecords({ topic, partitions: [0, 1, 2].map((partition) => ({ partition, offset: "2" })) }))
      yield* Effect.retry(cut, { times: 50, schedule: Schedule.spaced("100 millis") }) // until the client knows who leads
      const error = yield* Effect.flip(quietly(replay({ ...totals, version: 3 }, { anew: true })))
      assert.match(error.message, /begins at offset 2.*cdc snapshot shop\.orders/)
      const rereads = Rereads.make(source.stateSchema, source.slot)
      yield* rereads.request(postgres, { table: TableName("shop", "orders"), sweep: true, reason: "asked", state: "sweeping", bounds: new Map([[0, 2n], [1, 2n], [2, 2n]]) })
      yield* postgres.query("Ending the re-read", "update cdc.rereads set state = 'done', finished_at = now()")
      yield* quietly(replay({ ...totals, version: 3 }, { anew: true }))
      assert.deepStrictEqual(yield* one("select version from cdc.pipelines where name = 'totals'"), { version: 3 })
      // As if the topic had been made again: what is live stands where nobody can ever get.
      yield* postgres.query("Standing beyond the end", "update cdc.offsets set next_offset = 9999 where pipeline = 'totals'")
      yield* quietly(replay({ ...totals, version: 3 }, { anew: true }))
      assert.deepStrictEqual(yield* one("select max(next_offset) < 9999 as is_back from cdc.offsets where pipeline = 'totals'"), { is_back: true })
    })))
})

layer(layerOf("shadow"), { excludeTestServices: true })("a pipeline in shadow mode", (it) => {
  it.effect("follows its topics and shows what it would write; a replay, which would put it live, is refused; live, it goes on from there", () =>
    Effect.scoped(Effect.gen(function*() {
      const { isRight, one, postgres, put, rows } = yield* shop
      yield* put([[1, "a", 1], [2, "b", 2]])
      yield* postgres.query("Inserting", "insert into reporting.totals values ('a', 1, 1), ('c', 5, 5)")
      const before = yield* one("select string_agg(xmin::text || customer, ',' order by customer) as rows from reporting.totals")
      const shadow = yield* Effect.forkScoped(quietly(runInShadow(totals)))
      yield* until(Effect.map(verifyShadow(totals, 10), ({ compared }) => compared === 2))
      yield* put([[3, "a", 4]])
      yield* until(Effect.map(verifyShadow(totals, 10), ({ differing }) => differing === 2))
      const { differences, generation } = yield* verifyShadow(totals, 10)
      assert.strictEqual(generation, 1)
      assert.deepStrictEqual(differences.map(({ column, key, stored, wouldBe }) => [key, column, stored, wouldBe]), [
        ["a", "amount", "1", "5"], ["a", "orders", "1", "2"], ["b", "(row)", null, null]
      ])
      assert.deepStrictEqual(yield* one("select string_agg(xmin::text || customer, ',' order by customer) as rows from reporting.totals"), before)
      assert.match((yield* Effect.flip(quietly(replay(totals, { anew: false })))).message, /shadow mode/)
      yield* Fiber.interrupt(shadow)
      yield* Effect.forkScoped(runPipeline(totals).pipe(quietly))
      yield* until(Effect.map(rows(), (found) => found.join() === "a 5 2,b 2 1,c 5 5"))
      assert.isFalse(yield* isRight, "a row that nobody managed is left alone")
      assert.deepStrictEqual(yield* one("select name, generation, applied from cdc.pipelines"), { name: "totals", generation: 1, applied: 3n })
    })))
})
