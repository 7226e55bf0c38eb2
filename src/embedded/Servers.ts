import { Console, Context, Effect, Layer, Scope } from "effect"
import { closeSync, mkdirSync, renameSync, rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { ConfigurationError, embeddedServersFile } from "../Config.ts"
import * as EmbeddedKafka from "./EmbeddedKafka.ts"
import * as EmbeddedPostgres from "./EmbeddedPostgres.ts"
import { EmbeddedServerError } from "./EmbeddedServerError.ts"
import * as KafkaDistribution from "./KafkaDistribution.ts"
import * as KafkaInDocker from "./KafkaInDocker.ts"
import * as Occupancy from "./Occupancy.ts"

/**
 * A Postgres and a Kafka for a machine that has none: what `DATABASE_URL` or `KAFKA_BROKERS` does not name is started
 * here, and stopped at the end of the scope; the data stays in `.data`. Meanwhile `.data/servers.json` says where they
 * are, and every verb reads it as a part of its configuration. So build this layer before `AppConfig`'s.
 *
 * Ports are free ones, and the same ones again at the next start; `CDC_EMBEDDED_POSTGRES_PORT` and
 * `CDC_EMBEDDED_KAFKA_PORT` choose them.
 */
export class EmbeddedServers extends Context.Service<EmbeddedServers, {
  /** Of the embedded server, or what the environment says. It holds a password. */
  readonly databaseUrl: string
  /** `host:port[,host:port]` */
  readonly brokers: string
}>()("cdc/embedded/Servers") {
  static readonly layer = Layer.effect(EmbeddedServers, Effect.suspend(() => start(fileURLToPath(new URL(".", embeddedServersFile)))))
}

const start = Effect.fnUntraced(function*(directory: string) {
  const { DATABASE_URL: databaseUrl = "", KAFKA_BROKERS: brokers = "" } = process.env
  if (databaseUrl !== "" && brokers !== "") return EmbeddedServers.of({ databaseUrl, brokers })
  const postgresPort = yield* portOf("CDC_EMBEDDED_POSTGRES_PORT")
  const kafkaPort = yield* portOf("CDC_EMBEDDED_KAFKA_PORT")

  yield* occupy(directory)
  const [source, kafka] = yield* Effect.all([
    databaseUrl === "" ? startPostgres(directory, postgresPort) : Effect.undefined,
    brokers === "" ? startKafka(directory, kafkaPort) : Effect.undefined
  ], { concurrency: 2 })
  yield* announce({ source, kafka })
  return EmbeddedServers.of({ databaseUrl, brokers, ...source, ...kafka })
})

const startPostgres = (directory: string, port: number | undefined) =>
  Effect.andThen(
    Console.error("Starting Postgres…"),
    EmbeddedPostgres.start({ directory: join(directory, "postgres"), port, database: "hub" })
  )

/** On the JVM; where that can't be, in Docker; where neither is, the JVM's message says what to install. */
const startKafka = (directory: string, port: number | undefined) =>
  KafkaDistribution.prepare(directory).pipe(
    Effect.tap(Console.error(`Starting Apache Kafka ${KafkaDistribution.version}…`)),
    Effect.flatMap((distribution) => EmbeddedKafka.start({ directory: join(directory, "kafka"), port, distribution })),
    Effect.catchIf(
      (error) => error.reason === "toolMissing",
      (error) => Effect.flatMap(KafkaInDocker.isPossible, (yes) => yes ? KafkaInDocker.start : Effect.fail(error))
    )
  )

/** One start at a time: the directory is ours until this process ends, however it ends. */
const occupy = (directory: string): Effect.Effect<void, EmbeddedServerError, Scope.Scope> =>
  Effect.gen(function*() {
    mkdirSync(directory, { recursive: true })
    const mark = join(directory, "in-use")
    yield* Occupancy.whenFree(mark).pipe(Effect.timeoutOrElse({
      duration: "2 seconds", // a process that was just killed may still be on its way out
      orElse: () =>
        Effect.fail(
          new EmbeddedServerError({
            reason: "alreadyRunning",
            message: "The embedded servers are running already, started from another terminal. Use them (npx cdc status), " +
              "or stop that one with Ctrl-C first."
          })
        )
    }))
    yield* Effect.acquireRelease(Effect.sync(() => Occupancy.hold(mark)), (held) => Effect.sync(() => closeSync(held)))
  })

/** Moved into its place when it is complete; it holds a password, so it is nobody else's to read. */
const announce = (servers: unknown): Effect.Effect<void, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const file = fileURLToPath(embeddedServersFile)
      rmSync(`${file}.new`, { force: true })
      writeFileSync(`${file}.new`, JSON.stringify(servers, null, 2), { mode: 0o600 }) // without the ones that are undefined
      renameSync(`${file}.new`, file)
    }),
    () => Effect.sync(() => rmSync(embeddedServersFile, { force: true }))
  )

const portOf = (name: string): Effect.Effect<number | undefined, ConfigurationError> =>
  Effect.suspend(() => {
    const text = process.env[name] || undefined
    const port = text === undefined ? undefined : Number(text)
    return port === undefined || (Number.isInteger(port) && port > 0 && port < 65_536)
      ? Effect.succeed(port)
      : Effect.fail(new ConfigurationError({ message: `${name}=${text}: a port is a number from 1 to 65535` }))
  })
