import { assert, layer } from "@effect/vitest"
import type { Base } from "@platformatic/kafka"
import { Clock, Effect, Exit, Fiber, Layer, type Scope } from "effect"
import { AppConfig } from "../../src/Config.ts"
import { Kafka } from "../../src/connections/Kafka.ts"
import type { KafkaError } from "../../src/connections/KafkaError.ts"
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

type Connect = Base["connections"]["get"]
type Broker = Parameters<Connect>[0]

/** Connections that are made as a test says: the nth client of this service, from 0, gets them from what `change` gives. */
const connecting = (kafka: Kafka["Service"], change: (nth: number, client: Base) => (broker: Broker) => Broker): Kafka["Service"] => {
  let clients = 0
  return Kafka.of({
    ...kafka,
    requests: (clientId) =>
      Effect.map(kafka.requests(clientId), (client) => {
        const { connections } = client
        const connect = connections.get.bind(connections) as (broker: Broker, ...callback: Array<unknown>) => Promise<never>
        const toBroker = change(clients++, client)
        connections.get = ((broker: Broker, ...callback: Array<unknown>) => connect(toBroker(broker), ...callback)) as Connect
        return client
      })
  })
}

/** A topic of its own, and how to write to it. */
const prepare = (table: string) =>
  Effect.gen(function*() {
    const { kafka: settings } = yield* AppConfig
    const kafka = yield* Kafka
    const { admin, brokers, readTopic } = yield* TestTopics
    const topic = `${settings.topicPrefix}.public.${table}`
    yield* Topics.ensure([{ topic, hasKey: true }], settings)
    const [host, port] = brokers[0]!.split(":")
    const network = yield* Effect.acquireRelease(
      Effect.promise(() => Proxy.start({ host: host!, port: Number(port) })),
      (proxy) => Effect.promise(proxy.close)
    )
    return {
      topic,
      network,
      open: (as: { readonly fence?: string; readonly kafka?: Kafka["Service"] } = {}): Effect.Effect<TopicWriter.TopicWriter, KafkaError, Scope.Scope> =>
        TopicWriter.make({ clientId: "test", fence: as.fence ?? topic, topics: [topic], batchBytes: 8_000_000, compression: "none" }).pipe(
          Effect.provideService(Kafka, as.kafka ?? kafka)
        ),
      /** The service whose first client's connections go through the network, those of later ones directly to the broker. */
      throughNetwork: (clients: Array<Base> = []) =>
        connecting(kafka, (nth, client) => {
          clients.push(client)
          return (broker) => nth === 0 ? { ...broker, host: "127.0.0.1", port: network.port } : broker
        }),
      /** The service that asks so many times for a connection, and then never gets one. */
      dyingAfter: (asked: number) => {
        let connections = 0
        return connecting(kafka, () => (broker) => connections++ < asked ? broker : { ...broker, host: "127.0.0.1", port: 1 })
      },
      /** The orders in the topic, by partition, for who reads committed records only, as this client does. */
      orders: Effect.map(Effect.promise(() => readTopic(topic)), (records) => records.map(({ key, partition }) => [partition, Number(key)])),
      /** The sum of the partitions' ends: records and markers. */
      end: Effect.map(Effect.promise(() => admin.fetchTopicOffsets(topic)), (ends) => ends.reduce((sum, { high }) => sum + Number(high), 0))
    }
  })

const reasonOf = <A>(exit: Exit.Exit<A, KafkaError>) => Exit.isFailure(exit) ? JSON.stringify(exit.cause.toJSON()).match(/"reason":"(fenced)"/)?.[1] : "success"

layer(Support, { excludeTestServices: true })("a writer", (it) => {
  it.effect("that is replaced while a request of its own is half written: the rest of it is refused", () =>
    Effect.gen(function*() {
      const { network, open, orders, throughNetwork, topic } = yield* prepare("half")
      const old = yield* open({ kafka: throughNetwork() })
      yield* old.write([record(topic, 0, 1), record(topic, 1, 2)])
      const batch = [record(topic, 0, 3, 500_000), record(topic, 1, 4, 500_000)]
      const held = network.holdAfter(300_000)
      const late = yield* Effect.forkChild(Effect.exit(old.write(batch)))
      yield* Effect.promise(() => held)

      const successor = yield* open()
      assert.deepStrictEqual((yield* Tails.read([topic])).last, at(2))
      network.release()
      assert.strictEqual(reasonOf(yield* Fiber.join(late)), "fenced")
      yield* successor.write(batch)
      assert.deepStrictEqual(yield* orders, [[0, 1], [0, 3], [1, 2], [1, 4]])
      yield* successor.write([record(topic, 0, 5)])
      assert.strictEqual((yield* orders).length, 5)
    }))

  it.effect("that is replaced between two requests writes never again", () =>
    Effect.gen(function*() {
      const { open, orders, topic } = yield* prepare("between")
      const old = yield* open()
      const other = yield* open({ fence: `${topic}.other` })
      yield* old.write([record(topic, 0, 1)])
      const successor = yield* open()
      for (let attempt = 0; attempt < 3; attempt++) {
        assert.strictEqual(reasonOf(yield* Effect.exit(old.write([record(topic, attempt % 2, 2)]))), "fenced")
      }
      yield* successor.write([record(topic, 1, 3)])
      yield* other.write([record(topic, 1, 4)]) // of another fence, which this one does not disturb
      assert.deepStrictEqual(yield* orders, [[0, 1], [1, 3], [1, 4]])
    }))

  it.effect("whose request arrives late, after its connection broke and it wrote again, has it there once", () =>
    Effect.gen(function*() {
      const { network, open, orders, throughNetwork, topic } = yield* prepare("late")
      const clients: Array<Base> = []
      const writer = yield* open({ kafka: throughNetwork(clients) })
      const held = network.holdAfter(300_000)
      const writing = yield* Effect.forkChild(writer.write([record(topic, 0, 1, 500_000), record(topic, 1, 2, 500_000)]))
      yield* Effect.promise(() => held)
      breakConnections(clients[0]!)
      yield* Fiber.join(writing)
      yield* writer.write([record(topic, 0, 3)])
      network.release()
      yield* writer.write([record(topic, 0, 4)])
      assert.deepStrictEqual(yield* orders, [[0, 1], [0, 3], [0, 4], [1, 2]])
    }))

  it.effect("whose answer is lost has its records there once", () =>
    Effect.gen(function*() {
      const { end, network, open, orders, throughNetwork, topic } = yield* prepare("answer")
      const clients: Array<Base> = []
      const writer = yield* open({ kafka: throughNetwork(clients) })
      const before = yield* end
      network.holdAnswers()
      const writing = yield* Effect.forkChild(writer.write([record(topic, 0, 1), record(topic, 1, 2), record(topic, 1, 3)]))
      while ((yield* end) < before + 3) yield* Effect.yieldNow
      breakConnections(clients[0]!)
      yield* Fiber.join(writing)
      yield* writer.write([record(topic, 0, 4)])
      assert.deepStrictEqual(yield* orders, [[0, 1], [0, 4], [1, 2], [1, 3]])
    }))

  it.effect("that is killed between any two steps of taking over is nobody's trouble", () =>
    Effect.gen(function*() {
      const { dyingAfter, open, orders, topic } = yield* prepare("killed")
      const expected: Array<ReadonlyArray<number>> = []
      let order = 0
      for (let asked = 0; asked < 30; asked++) {
        const killed = yield* Effect.exit(open({ kafka: dyingAfter(asked) }))
        const successor = yield* open()
        yield* successor.write([record(topic, 0, ++order)])
        expected.push([0, order])
        assert.deepStrictEqual(yield* orders, expected)
        if (Exit.isSuccess(killed)) return assert.isAtLeast(asked, 8) // two for each request to the coordinator
      }
      assert.fail("it never came to its end")
    }))

  it.effect("raises its fence anew once partitions could have forgotten it", () =>
    Effect.gen(function*() {
      const { end, open, orders, topic } = yield* prepare("old")
      const frozen = yield* open()
      const writer = yield* open()
      const before = yield* end
      yield* writer.write([record(topic, 0, 1)])
      assert.strictEqual(yield* end, before + 1)
      const later = yield* clockAhead(7 * 3_600_000)
      yield* Effect.provideService(writer.write([record(topic, 0, 2)]), Clock.Clock, later)
      assert.strictEqual(yield* end, before + 4) // two records, and a marker in each partition
      assert.strictEqual(reasonOf(yield* Effect.exit(Effect.provideService(frozen.write([record(topic, 0, 3)]), Clock.Clock, later))), "fenced")
      yield* Effect.provideService(writer.write([record(topic, 1, 4)]), Clock.Clock, later)
      assert.deepStrictEqual(yield* orders, [[0, 1], [0, 2], [1, 4]])
    }))
})

const breakConnections = (client: Base): void => {
  for (const [, connection] of client.connections) connection.socket?.destroy()
}

const clockAhead = (millis: number) =>
  Effect.map(Effect.clockWith(Effect.succeed), (clock): Clock.Clock => ({
    ...clock,
    sleep: (duration) => clock.sleep(duration),
    currentTimeMillisUnsafe: () => clock.currentTimeMillisUnsafe() + millis,
    currentTimeMillis: Effect.map(clock.currentTimeMillis, (now) => now + millis)
  }))
