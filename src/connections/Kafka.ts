import { type API, Base, Consumer, kGetApi, Producer } from "@platformatic/kafka"
import { Context, Effect, Layer, Redacted, Scope, Semaphore } from "effect"
import kafkajs, { type Admin, type Kafka as KafkaJs, type SASLOptions } from "kafkajs"
import { zstdCompressSync, zstdDecompressSync } from "node:zlib"
import { AppConfig } from "../Config.ts"
import { fromCause, KafkaError } from "./KafkaError.ts"

/**
 * Both Kafka clients behind one set of settings: kafkajs consumes and administers (it survives a broker's death with
 * nothing lost or doubled), @platformatic/kafka produces (several times faster). See `docs/decisions/0003-two-kafka-clients.md`
 * and, for what capture writes with, `0011-fencing.md`.
 */
export class Kafka extends Context.Service<Kafka, {
  /** For consumers; they are made, run and disconnected by who uses them. */
  readonly client: KafkaJs
  /** Asks or changes the cluster; connects at first use. `doing` opens the message of a failure. */
  readonly admin: <A>(doing: string, ask: (admin: Admin) => Promise<A>) => Effect.Effect<A, KafkaError>
  /**
   * A producer of its own, `acks=all` and idempotent, closed with the scope. Rule: one `send` outstanding at a time. While
   * Kafka is away a `send` is repeated under its sequence numbers, and so takes as long. Not for what must not be there twice.
   */
  readonly producer: (clientId: string) => Effect.Effect<Producer<Buffer, Buffer, string, string>, never, Scope.Scope>
  /** Connections to the brokers, for who makes requests himself; repeats nothing. The end of the scope cuts them off. */
  readonly requests: (clientId: string) => Effect.Effect<Base, never, Scope.Scope>
  /** For single fetches at given offsets, which kafkajs has not; it joins no group. Closed with the scope. */
  readonly reader: (clientId: string) => Effect.Effect<Consumer<Buffer, Buffer, Buffer, Buffer>, never, Scope.Scope>
}>()("cdc/connections/Kafka") {
  static readonly layer = Layer.effect(
    Kafka,
    Effect.gen(function*() {
      const { kafka, publish } = yield* AppConfig
      const sasl = kafka.saslMechanism === "none" ? undefined : {
        mechanism: kafka.saslMechanism,
        username: kafka.saslUsername,
        password: Redacted.value(kafka.saslPassword)
      }

      const clientWith = (retries: number) => new kafkajs.Kafka({
        clientId: "cdc",
        brokers: [...kafka.brokers],
        ssl: kafka.tls,
        ...(sasl === undefined ? {} : { sasl: sasl as SASLOptions }),
        logLevel: kafkajs.logLevel.NOTHING, // every failure reaches us as an error or an event, and is logged there
        connectionTimeout: 3_000,
        requestTimeout: 30_000,
        retry: { initialRetryTime: 100, maxRetryTime: 1_000, retries }
      })
      const client = clientWith(8)
      const administrator = clientWith(5) // 2.5 s: who asks can ask again, and a person waits for the answer

      const scope = yield* Effect.scope
      const connecting = yield* Semaphore.make(1)
      let connection: Admin | undefined
      const connected = Effect.suspend(() =>
        connection !== undefined ? Effect.succeed(connection) : Effect.acquireRelease(
          Effect.tryPromise({
            try: async () => {
              const admin = administrator.admin()
              await admin.connect()
              return connection = admin
            },
            catch: (cause) => fromCause(`Connecting to Kafka at ${kafka.brokers.join(", ")}`, cause)
          }),
          (admin) => Effect.promise(() => admin.disconnect().catch(() => {}))
        ).pipe(Effect.provideService(Scope.Scope, scope))
      ).pipe(connecting.withPermit)

      /** It goes on asking for every topic whose offsets it was ever asked for: once one of them is deleted, only another one can answer. */
      const forget = (admin: Admin) => Effect.sync(() => {
        if (connection === admin) connection = undefined // others may be using it; the scope closes it
      })
      const admin = <A>(doing: string, ask: (admin: Admin) => Promise<A>) => {
        const attempt = Effect.flatMap(connected, (admin) =>
          Effect.tapError(Effect.tryPromise({ try: () => ask(admin), catch: (cause) => cause }), (cause) => isUnknownTopic(cause) ? forget(admin) : Effect.void))
        return attempt.pipe(
          Effect.retry({ while: isUnknownTopic, times: 1 }),
          Effect.mapError((cause) => cause instanceof KafkaError ? cause : fromCause(doing, cause))
        )
      }

      const common = (clientId: string) => ({
        clientId,
        bootstrapBrokers: [...kafka.brokers],
        autocreateTopics: false,
        retries: 0, // who asks decides what a failure means
        connectTimeout: 3_000,
        requestTimeout: 30_000,
        ...(kafka.tls ? { tls: {} } : {}),
        ...(sasl === undefined
          ? {}
          : { sasl: { ...sasl, mechanism: sasl.mechanism.toUpperCase() as "PLAIN" | "SCRAM-SHA-256" | "SCRAM-SHA-512" } })
      })

      const producer = (clientId: string) =>
        Effect.acquireRelease(
          Effect.sync(() =>
            new Producer<Buffer, Buffer, string, string>({
              ...common(clientId),
              idempotent: true,
              acks: -1,
              retries: producerRetries,
              retryDelay: 500,
              compression: publish.compression,
              serializers: { headerKey: (text) => Buffer.from(text!), headerValue: (text) => Buffer.from(text!) }
            })
          ),
          (producer) => Effect.promise(() => producer.close(true).catch(() => {}))
        )

      const requests = (clientId: string) =>
        Effect.acquireRelease(
          Effect.sync(() => new Base({ ...common(clientId), requestTimeout: 10_000 })), // a connection that died silently is noticed by that
          (client) => Effect.sync(() => {
            for (const [, connection] of client.connections) connection.socket?.destroy() // closing would wait until all is written
            client.close().catch(() => {})
          })
        )

      const reader = (clientId: string) =>
        Effect.acquireRelease(
          Effect.sync(() => new Consumer<Buffer, Buffer, Buffer, Buffer>({ ...common(clientId), groupId: clientId })),
          (reader) => Effect.promise(() => reader.close(true).catch(() => {}))
        )

      return Kafka.of({ client, admin, producer, requests, reader })
    })
  )
}

/** The newest version of a request that the brokers and the client have in common; newer ones are like the one that is named. */
export const newestApi = <Api>(client: Base, name: string): Promise<Api> =>
  new Promise((resolve, reject) => client[kGetApi](name, (error, api: API<Array<unknown>, unknown> | undefined) =>
    error === null || error === undefined ? resolve(api as Api) : reject(error)))

/**
 * The client takes 0 and 1 for "no limit", and keeps every attempt's error: some twenty minutes' worth, then who asks decides.
 * Repeating is its job rather than ours because it has the sequence numbers: a frozen broker that awakens writes the request
 * that it had received, after anybody has looked at the partition's end, and then drops the repeated one.
 */
const producerRetries = 2_400

/** As kafkajs tells it. */
const isUnknownTopic = (cause: unknown): boolean => (cause as { readonly type?: unknown }).type === "UNKNOWN_TOPIC_OR_PARTITION"

process.env.KAFKAJS_NO_PARTITIONER_WARNING = "1"
// kafkajs knows zstd by name only. (It is CommonJS, and Node finds only some of its exports by name: hence its default export.)
kafkajs.CompressionCodecs[kafkajs.CompressionTypes.ZSTD] = () => ({
  compress: async (encoder: { buffer: Buffer }) => zstdCompressSync(encoder.buffer),
  decompress: async (buffer: Buffer) => zstdDecompressSync(buffer)
})
