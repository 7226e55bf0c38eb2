import { Console, Effect, Layer, Random, Redacted } from "effect"
import { Command, Flag } from "effect/cli"
import { CaptureError } from "../capture/CaptureError.ts"
import { AppConfig } from "../Config.ts"
import { Activity } from "../embedded/hub/Activity.ts"
import { EmbeddedServers } from "../embedded/Servers.ts"
import { Progress } from "../run/Progress.ts"
import * as Setup from "../run/Setup.ts"
import * as Connections from "./Connections.ts"
import * as Parts from "./Parts.ts"
import * as SampleHub from "./SampleHub.ts"
import { serve, urlOf } from "./Serve.ts"
import { untilStopped } from "./StopSignals.ts"

/** The servers stop with us, so that a remedy that needs them is ours to carry out. */
const tellRemedy = <A, E, R>(work: Effect.Effect<A, E, R>) =>
  Effect.mapError(work, (error) =>
    error instanceof CaptureError && error.reason === "gap"
      ? new CaptureError({ reason: "gap", message: `${error.message}\nHere, \`cdc setup --resnapshot\` is: npm start -- --resnapshot` })
      : error)

export const start = Command.make(
  "start",
  {
    companies: Flag.Int("companies").pipe(
      Flag.withDescription("Size of the sample hub, when it is made; everything else is in proportion"),
      Flag.withDefault(2_000)
    ),
    seed: Flag.Int("seed").pipe(
      Flag.withDescription("The same seed makes the same sample"),
      Flag.withDefault(1)
    ),
    rate: Flag.Finite("rate").pipe(
      Flag.withDescription("Rows that the sample hub's activity changes per second, about"),
      Flag.withDefault(20)
    ),
    noActivity: Flag.Boolean("no-activity").pipe(
      Flag.withDescription("Leave the sample hub alone"),
      Flag.withDefault(false)
    ),
    resnapshot: Flag.Boolean("resnapshot").pipe(
      Flag.withDescription("Begin anew after a gap first, as `cdc setup --resnapshot` does, which needs servers that run"),
      Flag.withDefault(false)
    )
  },
  Effect.fnUntraced(function*({ companies, noActivity, rate, resnapshot, seed }) {
    const { pipelines } = yield* AppConfig
    yield* tellServers
    yield* SampleHub.prepare({ companies, seed })
    for (const line of yield* resnapshot ? Setup.resnapshot : Setup.setup) yield* Effect.logDebug(line)
    for (const line of yield* Setup.makeTargets(yield* Parts.enabled)) yield* Effect.logDebug(line)

    // Ids come from the activity's seed, so each start takes another one than the starts before it.
    const activity = Activity.layer({ seed: yield* Random.nextInt, changesPerSecond: noActivity ? 0 : Math.max(0, rate) })
    yield* Effect.scoped(Effect.gen(function*() {
      const hub = yield* SampleHub.control
      const parts = [Parts.capture, ...yield* Parts.pipelines(pipelines.enabled)]
      yield* Effect.raceFirst(serve(parts, hub), Effect.andThen(tellProgress, Effect.never))
    })).pipe(Effect.provide(activity))
  }, tellRemedy, Effect.provide(Connections.layer.pipe(Layer.provideMerge(EmbeddedServers.layer))), untilStopped)
).pipe(
  Command.withShortDescription("Everything on this machine, with a sample hub"),
  Command.withDescription(
    "Everything on this machine: an embedded Postgres and Kafka (or those of DATABASE_URL and KAFKA_BROKERS), a sample hub that is kept "
      + "busy, capture, pipelines and the status page. Data stays in .data/; Ctrl-C stops all of it, the next start resumes. "
      + "SIGUSR1, POST /hub/pause and POST /hub/resume pause the sample hub."
  ),
  Command.withExamples([
    { command: "cdc start", description: "As npm start does" },
    { command: "cdc start --companies 200 --rate 100", description: "A smaller hub, five times as busy" },
    { command: "cdc start --resnapshot", description: "After a gap (exit code 4): begins a new epoch and reads everything again" },
    { command: "curl -X POST localhost:8085/hub/pause", description: "Quiet writers, so that the status becomes settled" }
  ])
)

const tellServers = Effect.gen(function*() {
  const { kafka, source } = yield* AppConfig
  const { host, pathname } = new URL(Redacted.value(source.databaseUrl))
  yield* Console.error(`Postgres at ${host}${pathname}, Kafka at ${kafka.brokers.join(", ")}.`)
})

/** What a person waits for, beside the snapshot, of which the log tells: being caught up. Then how to look, and how to stop. */
const tellProgress = Effect.gen(function*() {
  const { http, kafka } = yield* AppConfig
  while (!(yield* isCaughtUp)) yield* Effect.sleep("500 millis")
  yield* Console.error(`Caught up: every row is in its topic (${kafka.topicPrefix}.<schema>.<table>), every aggregate is right.

  Look:  ${urlOf(http)}   npx cdc status   npx cdc verify
  Stop:  Ctrl-C; the next start goes on from here.
`)
})

/** A status that can't be had now, as while Kafka makes the topics, is asked for again: the parts say what is wrong. */
const isCaughtUp = Effect.flatMap(Progress, ({ status }) => status).pipe(
  Effect.map(({ caughtUp }) => caughtUp),
  Effect.catch((error) => Effect.as(Effect.logDebug("no status yet", { reason: error.message }), false))
)
