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

const pom = fileURLToPath(new URL("pom.xml", import.meta.url))
const cache = fileURLToPath(new URL("../../.data/", import.meta.url))
const versionOf = (what: string): string => new RegExp(`<${what}\\.version>(.*)<`).exec(readFileSync(pom, "utf8"))![1]!

export const debeziumVersion = versionOf("debezium")
export const kafkaVersion = versionOf("kafka")

/** Has Maven fetch the 38 MB of jars at first use; they are moved into their place when they are complete. Needs Java 17 and Maven. */
export const prepare = async (): Promise<Distribution> => {
  const libraries = join(cache, `debezium-${debeziumVersion}-kafka-${kafkaVersion}`)
  if (!existsSync(libraries)) {
    console.error(`Fetching Debezium ${debeziumVersion} and Kafka Connect ${kafkaVersion}…`)
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
