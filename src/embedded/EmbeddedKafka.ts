import { Effect, Schedule, Scope } from "effect"
import { Kafka, logLevel } from "kafkajs"
import { execFile } from "node:child_process"
import { randomBytes } from "node:crypto"
import { existsSync, mkdirSync, rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { promisify } from "node:util"
import { EmbeddedServerError } from "./EmbeddedServerError.ts"
import type { KafkaDistribution } from "./KafkaDistribution.ts"
import * as Port from "./Port.ts"
import * as ServerProcess from "./ServerProcess.ts"

export interface KafkaOptions {
  /** Absolute; holds everything that the broker keeps. */
  readonly directory: string
  /** Default: the one of the last start, or a free one. */
  readonly port?: number | undefined
  readonly distribution: KafkaDistribution
  /** Over the broker's own, by Kafka's names. */
  readonly settings?: Readonly<Record<string, string | number>>
  /** Further listeners, their ports by name; `settings` says what protocol they speak. */
  readonly listeners?: Readonly<Record<string, number>>
}

/** An Apache Kafka of our own on 127.0.0.1: one broker in KRaft mode. The end of the scope stops it, the data stays. */
export const start = (
  { directory, distribution, listeners, port: wanted, settings }: KafkaOptions
): Effect.Effect<{ readonly brokers: string }, EmbeddedServerError, Scope.Scope> =>
  Effect.gen(function*() {
    mkdirSync(directory, { recursive: true, mode: 0o700 })
    yield* ServerProcess.whenStopped("Kafka", directory)

    const data = join(directory, "data")
    const port = yield* Port.choose(join(directory, "port"), wanted)
    const controllerPort = yield* Port.choose(join(directory, "controller-port"))
    const properties = join(directory, "server.properties")
    writeFileSync(properties, ownSettings({ data, port, controllerPort, listeners: listeners ?? {} }) + lines(settings ?? {})) // the last one of a name counts
    if (!existsSync(join(data, "meta.properties"))) yield* format(data, properties, distribution)

    const brokers = `127.0.0.1:${port}`
    yield* ServerProcess.start({
      name: "Kafka",
      command: java(distribution, "kafka.Kafka", properties),
      directory,
      stopSignal: "TERM",
      isReady: answering(brokers)
    })
    return { brokers }
  })

const lines = (settings: Readonly<Record<string, string | number>>): string =>
  Object.entries(settings).map(([name, value]) => `${name}=${value}\n`).join("")

interface Place {
  readonly data: string
  readonly port: number
  readonly controllerPort: number
  readonly listeners: Readonly<Record<string, number>>
}

/** Names of no groups, whose hash codes (Java's) fall on each of the five partitions by which groups are coordinated: a coordinator that is still loading refuses. */
const groupOfEachCoordinator = ["a", "b", "c", "d", "e"]

const ownSettings = (place: Place): string => `
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:${place.controllerPort}
listeners=${listening({ PLAINTEXT: place.port, CONTROLLER: place.controllerPort, ...place.listeners })}
controller.listener.names=CONTROLLER
log.dirs=${place.data}
auto.create.topics.enable=false
group.initial.rebalance.delay.ms=0
# After a kill the broker may register again only when its former self's session is over: 9 s by default.
broker.session.timeout.ms=5000
broker.heartbeat.interval.ms=1000
# There is one broker, so everything is kept once; few partitions start faster.
offsets.topic.replication.factor=1
offsets.topic.num.partitions=5
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=5
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
share.coordinator.state.topic.num.partitions=1
`

const listening = (ports: Readonly<Record<string, number>>): string =>
  Object.entries(ports).map(([name, port]) => `${name}://127.0.0.1:${port}`).join(",")

const java = ({ classPath, java }: KafkaDistribution, main: string, ...parameters: ReadonlyArray<string>) => [
  java,
  "-Xmx512m",
  "-XX:+UseSerialGC",
  "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
  "-Dorg.slf4j.simpleLogger.showDateTime=true",
  "-Dorg.slf4j.simpleLogger.dateTimeFormat=yyyy-MM-dd'T'HH:mm:ss.SSS",
  "-cp",
  classPath,
  main,
  ...parameters
]

/** `meta.properties` is what it writes last: without it, what is there is unfinished. */
const format = (data: string, properties: string, distribution: KafkaDistribution) =>
  Effect.tryPromise({
    try: async () => {
      rmSync(data, { recursive: true, force: true })
      const [command, ...parameters] = java(
        distribution,
        "kafka.tools.StorageTool",
        "format",
        `--cluster-id=${clusterId()}`,
        `--config=${properties}`
      )
      await promisify(execFile)(command!, parameters)
    },
    catch: (cause) =>
      new EmbeddedServerError({
        reason: "cannotPrepare",
        message: `Kafka's data directory ${data} could not be made: ${(cause as Error).message.trim()}`
      })
  })

/** 16 random bytes in base64, without a leading dash, as Kafka's own `Uuid.randomUuid`. */
const clusterId = (): string => randomBytes(16).toString("base64url").replace(/^-/, "A")

/** Succeeds when the broker is a part of its cluster and coordinates groups; until then tries again: Kafka tells nobody when it is ready. */
const answering = (brokers: string): Effect.Effect<void> =>
  Effect.tryPromise(async () => {
    const admin = new Kafka({ brokers: [brokers], logLevel: logLevel.NOTHING, retry: { retries: 0 } }).admin()
    try {
      await admin.connect()
      const cluster = await admin.describeCluster()
      if (cluster.brokers.length === 0) throw new Error("no broker yet")
      await Promise.all(groupOfEachCoordinator.map((groupId) => admin.fetchOffsets({ groupId })))
    } finally {
      await admin.disconnect()
    }
  }).pipe(Effect.retry({ schedule: Schedule.spaced("100 millis") }), Effect.orDie)
