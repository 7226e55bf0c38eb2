import { Console, Effect, Scope } from "effect"
import { execFile } from "node:child_process"
import { fileURLToPath } from "node:url"
import { promisify } from "node:util"
import { EmbeddedServerError } from "./EmbeddedServerError.ts"

/** The Kafka of `docker-compose.yml`, for a machine with Docker and without Java; its data stays in a volume. */
export const start: Effect.Effect<{ readonly brokers: string }, EmbeddedServerError, Scope.Scope> = Effect.gen(function*() {
  yield* Console.error("There is no Java 17 and Maven here: starting Kafka in Docker…")
  yield* Effect.acquireRelease(
    compose("up", "--detach", "--wait", "kafka"),
    () => Effect.ignore(compose("stop", "kafka"))
  )
  const address = yield* compose("port", "kafka", "9092") // as 127.0.0.1:9092
  return { brokers: address.trim() }
})

/** A Docker engine answers, and it has compose. */
export const isPossible: Effect.Effect<boolean> = Effect.promise(() =>
  Promise.all([run("docker", ["info"]), run("docker", ["compose", "version"])]).then(() => true, () => false)
)

const file = fileURLToPath(new URL("../../docker-compose.yml", import.meta.url))
const run = promisify(execFile)

const compose = (...parameters: ReadonlyArray<string>): Effect.Effect<string, EmbeddedServerError> =>
  Effect.tryPromise({
    try: async () => (await run("docker", ["compose", `--file=${file}`, ...parameters])).stdout,
    catch: (cause) =>
      new EmbeddedServerError({
        reason: "didNotStart",
        message: `docker compose ${parameters.join(" ")} failed: ${(cause as Error).message.trim()}`
      })
  })
