import { assert, layer } from "@effect/vitest"
import { Deferred, Effect, Fiber, Layer } from "effect"
import { AppConfig } from "../../src/Config.ts"
import { Kafka } from "../../src/connections/Kafka.ts"
import { Lsn } from "../../src/domain/Lsn.ts"
import type { OutgoingRecord } from "../../src/domain/OutgoingRecord.ts"
import * as Position from "../../src/domain/Position.ts"
import * as Tails from "../../src/publish/Tails.ts"
import * as Topics from "../../src/publish/Topics.ts"
import * as TopicWriter from "../../src/publish/TopicWriter.ts"
import * as Proxy from "../support/Proxy.ts"
import * as TestConfig from "../support/TestConfig.ts"
import { TestDatabase } from "../support/TestDatabase.ts"
import { TestTopics } from "../support/TestTopics.ts"

const Support = Kafka.layer.pipe(
  Layer.provideMerge(TestConfig.layer({ kafka: { partitions: 2 } })),
  Layer.provideMerge(Layer.mergeAll(TestDatabase.layer, TestTopics.layer))
)

const at = (order: number): Position.Position => ({ epoch: 1, commitLsn: Lsn(1000n), order })

const record = (topic: string, partition: number, order: number, padding = 0): OutgoingRecord => ({
  topic,
  partition,
  key: Buffer.from(String(order)),
  value: Buffer.from(JSON.stringify({
    op: "c", after: "x".repeat(padding), source: { epoch: 1 }, transaction: { id: "7:1000", total_order: order }
  })),
  headers: undefined,
  position: at(order)
})

/** A topic of its own, and how to write to it: directly, or through a network that can be broken. */
const prepare = (table: string) =>
  Effect.gen(function*() {
    const { kafka: settings } = yield* AppConfig
    const kafka = yield* Kafka
    const { brokers, readTopic } = yield* TestTopics
    const topic = `${settings.topicPrefix}.public.${table}`
    yield* Topics.ensure([{ topic, hasKey: true }], settings)
    const [host, port] = brokers[0]!.split(":")
    const network = yield* Effect.acquireRelease(
      Effect.promise(() => Proxy.start({ host: host!, port: Number(port) })),
      (proxy) => Effect.promise(proxy.close)
    )
    const options = {
      clientId: "test", fence: topic, topics: [topic], batchBytes: 8_000_000, compression: "none", unansweredMillis: 100
    } as const
    const throughNetwork = Kafka.of({
      ...kafka,
      requests: (clientId) =>
        Effect.map(kafka.requests(clientId), (client) => {
          const get = client.connections.get.bind(client.connections)
          client.connections.get = ((_: unknown, ...rest: []) => get({ host: "127.0.0.1", port: network.port }, ...rest)) as typeof get
          return client
        })
    })
    const retried: Array<string> = []
    return {
      topic,
      network,
      /** What those through the network told of their trouble. */
      retried,
      open: TopicWriter.make(options),
      openThroughNetwork: (unanswered?: Deferred.Deferred<void>) =>
        TopicWriter.make({
          ...options,
          onRetry: (error) => Effect.andThen(Effect.sync(() => retried.push(error.message)), unanswered === undefined ? Effect.void : Deferred.succeed(unanswered, undefined))
        }).pipe(Effect.provideService(Kafka, throughNetwork)),
      /** The orders in the topic, by partition. */
      orders: Effect.map(Effect.promise(() => readTopic(topic)), (records) =>
        records.map(({ key, partition }) => [partition, Number(key)]))
    }
  })

layer(Support, { excludeTestServices: true })("writing to topics", (it) => {
  it.effect("a request that is half written when another writer takes over is refused when the rest of it arrives", () =>
    Effect.gen(function*() {
      const { network, open, openThroughNetwork, orders, topic } = yield* prepare("half")
      const old = yield* openThroughNetwork()
      yield* old.write([record(topic, 0, 1), record(topic, 1, 2)])
      const batch = [record(topic, 0, 3, 500_000), record(topic, 1, 4, 500_000)]
      const held = network.holdAfter(300_000)
      const late = yield* Effect.forkChild(Effect.exit(old.write(batch)))
      yield* Effect.promise(() => held)

      const successor = yield* open
      const tails = yield* Tails.read([topic])
      assert.deepStrictEqual(tails.last, at(2))
      yield* successor.write(batch)
      network.release()
      const exit = yield* Fiber.join(late)
      assert.isTrue(exit._tag === "Failure" && JSON.stringify(exit.cause).includes("fenced"), JSON.stringify(exit))
      assert.deepStrictEqual(yield* orders, [[0, 1], [0, 3], [1, 2], [1, 4]])
      yield* successor.write([record(topic, 0, 5)])
    }).pipe(Effect.scoped))
})
