import { execFile } from "node:child_process"
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync } from "node:fs"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { promisify } from "node:util"

/** The JVM, and the class path of Debezium's Postgres connector in Kafka Connect. */
export interface Distribution {
  readonly java: string
  readonly classPath: string
}

const file = (name: string): string => fileURLToPath(new URL(name, import.meta.url))
const cache = file("../../.data/")
const versionOf = (pom: string, what: string): string => new RegExp(`<${what}\\.version>(.*)<`).exec(readFileSync(pom, "utf8"))![1]!

/** Which jars there are: of the connector that reads Postgres, and of the one that writes a database. */
const poms = { source: file("pom.xml"), jdbcSink: file("jdbc-sink.pom.xml") }
const prefixes = { source: "debezium", jdbcSink: "debezium-jdbc" }

export const debeziumVersion = versionOf(poms.source, "debezium")
export const jdbcSinkVersion = versionOf(poms.jdbcSink, "debezium")
export const kafkaVersion = versionOf(poms.source, "kafka")

/** Has Maven fetch the jars (38 MB and 71 MB) at first use; they are moved into their place when they are complete. Needs Java 17 and Maven. */
export const prepare = async (connector: keyof typeof poms = "source"): Promise<Distribution> => {
  const pom = poms[connector]
  const version = versionOf(pom, "debezium")
  const libraries = join(cache, `${prefixes[connector]}-${version}-kafka-${kafkaVersion}`)
  if (!existsSync(libraries)) {
    console.error(`Fetching Debezium ${version} and Kafka Connect ${kafkaVersion}…`)
    const unfinished = `${libraries}.new`
    rmSync(unfinished, { recursive: true, force: true })
    mkdirSync(cache, { recursive: true })
    await promisify(execFile)("mvn", [
      "--quiet",
      "--batch-mode",
      `--file=${pom}`,
      "dependency:copy-dependencies",
      "-DincludeScope=runtime",
      `-DoutputDirectory=${unfinished}`
    ]).catch((cause: Error & { readonly code?: unknown; readonly stdout?: string }) => {
      throw new Error(cause.code === "ENOENT"
        ? "Maven is missing: install it (Debian: apt-get install openjdk-17-jre-headless maven)"
        : `Maven could not fetch Debezium:\n${(cause.stdout || cause.message).trim()}`)
    })
    renameSync(unfinished, libraries)
  }
  return { java: process.env.JAVA_HOME ? join(process.env.JAVA_HOME, "bin/java") : "java", classPath: join(libraries, "*") }
}
