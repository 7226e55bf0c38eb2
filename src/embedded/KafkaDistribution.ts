import { Console, Effect } from "effect"
import { execFile } from "node:child_process"
import { existsSync, readFileSync, renameSync, rmSync } from "node:fs"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { promisify } from "node:util"
import { EmbeddedServerError } from "./EmbeddedServerError.ts"

/** The JVM, and the class path of Kafka's own jars. */
export interface KafkaDistribution {
  readonly java: string
  readonly classPath: string
}

const pom = fileURLToPath(new URL("kafka/pom.xml", import.meta.url))
export const version = /<kafka\.version>(.*)<\/kafka\.version>/.exec(readFileSync(pom, "utf8"))![1]!

/** Has Maven fetch the jars at first use, into `<directory>/kafka-<version>`. Needs Java 17; Maven only to fetch. */
export const prepare = (directory: string): Effect.Effect<KafkaDistribution, EmbeddedServerError> =>
  Effect.gen(function*() {
    const java = process.env.JAVA_HOME ? join(process.env.JAVA_HOME, "bin/java") : "java"
    const installed = yield* versionOfJava(java)
    if (installed === undefined || installed < 17) return yield* needs(installed === undefined ? "Java 17" : `Java 17 (this is ${installed})`)
    const libraries = join(directory, `kafka-${version}`)
    if (!existsSync(libraries)) yield* fetchInto(libraries)
    return { java, classPath: join(libraries, "*") }
  })

/** `java -version` says `openjdk version "17.0.15" …` on standard error. */
const versionOfJava = (java: string): Effect.Effect<number | undefined> =>
  Effect.promise(() =>
    promisify(execFile)(java, ["-version"]).then(
      ({ stderr }) => Number(/version "(\d+)/.exec(stderr)?.[1] ?? Number.NaN),
      () => undefined
    )
  )

/** Beside its place, and moved there when it is complete. */
const fetchInto = (libraries: string): Effect.Effect<void, EmbeddedServerError> =>
  Effect.gen(function*() {
    yield* Console.error(`Fetching Apache Kafka ${version}…`)
    const unfinished = `${libraries}.new`
    rmSync(unfinished, { recursive: true, force: true })
    yield* Effect.tryPromise(() =>
      promisify(execFile)("mvn", [
        "--quiet",
        "--batch-mode",
        `--file=${pom}`,
        "dependency:copy-dependencies",
        "-DincludeScope=runtime",
        `-DoutputDirectory=${unfinished}`
      ])
    ).pipe(
      Effect.mapError(({ cause }) => cause as Error & { code?: unknown; stdout?: string }),
      Effect.catch((cause): Effect.Effect<never, EmbeddedServerError> =>
        cause.code === "ENOENT" ? needs("Maven") : Effect.fail(
          new EmbeddedServerError({
            reason: "cannotPrepare",
            message: `Maven could not fetch Apache Kafka ${version}:\n${(cause.stdout || cause.message).trim()}`
          })
        )
      )
    )
    renameSync(unfinished, libraries)
  })

const needs = (what: string): Effect.Effect<never, EmbeddedServerError> =>
  Effect.fail(
    new EmbeddedServerError({
      reason: "toolMissing",
      message: `The embedded Kafka needs ${what}. One of these helps:
  - install Java 17 or newer and Maven (Debian: apt-get install openjdk-17-jre-headless maven)
  - with Docker: docker compose up -d --wait, then set DATABASE_URL and KAFKA_BROKERS as docker-compose.yml says
  - set KAFKA_BROKERS=host:port to a Kafka of yours`
    })
  )
