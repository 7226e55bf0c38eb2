import { Command } from "effect/cli"
import { capture } from "./Capture.ts"
import { ConfigFile } from "./ConfigFile.ts"
import { deadLetters } from "./DeadLetters.ts"
import { explain } from "./Explain.ts"
import { pipeline } from "./Pipeline.ts"
import { replay } from "./Replay.ts"
import { run } from "./Run.ts"
import { setup } from "./Setup.ts"
import { snapshot } from "./Snapshot.ts"
import { start } from "./Start.ts"
import { status } from "./Status.ts"
import { teardown } from "./Teardown.ts"
import { validate } from "./Validate.ts"
import { verify } from "./Verify.ts"

/** `cdc <verb>`: one file per verb. */
export const cdc = Command.make("cdc").pipe(
  Command.withDescription(
    "Every committed change of the Outreach Execution hub as a Kafka topic, and the aggregates kept right from them.\n\n"
      + "Exit codes: 0 done, 1 differences or findings, 2 wrong usage or configuration, 3 cannot start (the message names the remedy), "
      + "4 stopped because a person must decide, 130 or 143 stopped (Ctrl-C, SIGTERM) before it was done."
  ),
  Command.withExamples([
    { command: "cdc start", description: "Everything on this machine: servers, a sample hub, capture, pipelines, status page" },
    { command: "DATABASE_URL=postgres://… KAFKA_BROKERS=host:9092 cdc setup", description: "Prepare your own database and Kafka, once" },
    { command: "DATABASE_URL=postgres://… KAFKA_BROKERS=host:9092 cdc run", description: "Capture it and keep its aggregates" }
  ]),
  Command.withSubcommands([start, setup, validate, run, capture, pipeline, snapshot, replay, status, deadLetters, explain, verify, teardown]),
  Command.withGlobalFlags([ConfigFile])
)
