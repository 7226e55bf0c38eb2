import { Console, Effect } from "effect"
import { Command } from "effect/cli"
import * as Setup from "../run/Setup.ts"
import * as Connections from "./Connections.ts"

export const setup = Command.make(
  "setup",
  {},
  Effect.fnUntraced(function*() {
    for (const line of yield* Setup.setup) yield* Console.log(line)
  }, Effect.provide(Connections.layer))
).pipe(
  Command.withShortDescription("Make publication, slot, state schema and topics"),
  Command.withDescription(
    "Make what capture and the pipelines need: publication, slot, state schema, topics. What is there stays. Reads no rows; prints what it did."
  ),
  Command.withExamples([
    { command: "cdc setup", description: "With DATABASE_URL (direct endpoint) and KAFKA_BROKERS from the environment" },
    { command: "cdc setup --config production.yaml", description: "With a file over config/default.yaml" }
  ])
)
