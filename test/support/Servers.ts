import { Effect, Exit, Scope } from "effect"
import { closeSync, existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from "node:fs"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import type { TestProject } from "vitest/node"
import * as EmbeddedKafka from "../../src/embedded/EmbeddedKafka.ts"
import * as EmbeddedPostgres from "../../src/embedded/EmbeddedPostgres.ts"
import * as KafkaDistribution from "../../src/embedded/KafkaDistribution.ts"
import * as Occupancy from "../../src/embedded/Occupancy.ts"
import * as ServerProcess from "../../src/embedded/ServerProcess.ts"
import * as ServersInDocker from "./ServersInDocker.ts"

declare module "vitest" {
  interface ProvidedContext {
    /** Postgres 18, a superuser, wal_level=logical. Take a database of your own in it: `TestDatabase`. */
    databaseUrl: string
    /** Kafka 4.4, `host:port[,host:port]`. Take a topic prefix of your own in it: `TestTopics`. */
    brokers: string
    /** Debian's Postgres 15 where it is installed, set up the same way. */
    postgres15Url: string | undefined
  }
}

/**
 * Global set-up of the integration tests: one Postgres and one Kafka for the whole run, in a directory of its own that
 * goes away with it. `CDC_TEST_DATABASE_URL` and `CDC_TEST_KAFKA_BROKERS` name running ones instead;
 * `CDC_TEST_DOCKER=1` takes Docker's.
 */
export default async function(project: TestProject): Promise<() => Promise<void>> {
  const scope = Effect.runSync(Scope.make())
  const stop = () => Effect.runPromise(Scope.close(scope, Exit.void))
  try {
    const servers = await Effect.runPromise(Scope.provide(start, scope))
    project.provide("databaseUrl", servers.databaseUrl)
    project.provide("brokers", servers.brokers)
    project.provide("postgres15Url", servers.postgres15Url)
    return stop
  } catch (error) {
    await stop()
    throw error
  }
}

const data = fileURLToPath(new URL("../../.data/", import.meta.url))
const debianPostgres15 = "/usr/lib/postgresql/15/bin"
/** What is written here is gone after the run anyway. */
const fast = { fsync: "off", synchronous_commit: "off", full_page_writes: "off" }

const start = Effect.gen(function*() {
  const { CDC_TEST_DATABASE_URL: databaseUrl, CDC_TEST_DOCKER: docker, CDC_TEST_KAFKA_BROKERS: brokers } = process.env
  const directory = yield* runDirectory
  const [postgres, kafka, postgres15] = yield* Effect.all([
    databaseUrl
      ? Effect.succeed({ databaseUrl })
      : docker
      ? ServersInDocker.postgres
      : EmbeddedPostgres.start({ directory: join(directory, "postgres"), database: "test", settings: fast }),
    brokers ? Effect.succeed({ brokers }) : docker ? ServersInDocker.kafka : Effect.flatMap(
      KafkaDistribution.prepare(data),
      (distribution) => EmbeddedKafka.start({ directory: join(directory, "kafka"), distribution })
    ),
    existsSync(debianPostgres15)
      ? EmbeddedPostgres.start({
        directory: join(directory, "postgres15"),
        database: "test",
        programs: debianPostgres15,
        settings: fast
      })
      : Effect.undefined
  ], { concurrency: "unbounded" })
  return { ...postgres, ...kafka, postgres15Url: postgres15?.databaseUrl }
})

/** Also clears away what a run that was killed has left, once its servers have noticed. */
const runDirectory = Effect.map(
  Effect.acquireRelease(
    Effect.sync(() => {
      const parent = join(data, "test")
      mkdirSync(parent, { recursive: true })
      for (const name of readdirSync(parent)) if (isLeftOver(join(parent, name))) rmSync(join(parent, name), { recursive: true })
      const directory = mkdtempSync(join(parent, "run-"))
      return { directory, mark: Occupancy.hold(join(directory, "in-use")) }
    }),
    ({ directory, mark }) =>
      Effect.sync(() => {
        closeSync(mark)
        rmSync(directory, { recursive: true, force: true })
      })
  ),
  ({ directory }) => directory
)

const isLeftOver = (run: string): boolean =>
  existsSync(join(run, "in-use")) && Occupancy.isFree(join(run, "in-use")) &&
  readdirSync(run).every((server) => ServerProcess.isStopped(join(run, server)))
