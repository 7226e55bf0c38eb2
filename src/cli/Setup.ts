import { Console, Effect } from "effect"
import { Command, Flag } from "effect/cli"
import * as Setup from "../run/Setup.ts"
import * as Validate from "../run/Validate.ts"
import * as Connections from "./Connections.ts"
import { enabled } from "./Parts.ts"

export const setup = Command.make(
  "setup",
  {
    resnapshot: Flag.Boolean("resnapshot").pipe(
      Flag.withDescription("After a gap: make the slot anew and the publication complete, have all tables read again under a later epoch"),
      Flag.withDefault(false)
    )
  },
  Effect.fnUntraced(function*({ resnapshot }) {
    const pipelines = yield* enabled
    for (const warning of yield* Validate.requireReady(yield* Validate.validate(pipelines))) yield* Console.error(`Warning: ${warning}`)
    for (const line of yield* (resnapshot ? Setup.resnapshot : Setup.setup)) yield* Console.log(line)
    for (const line of yield* Setup.makeTargets(pipelines)) yield* Console.log(line)
  }, Effect.provide(Connections.layer))
).pipe(
  Command.withShortDescription("Make publication, slot, state schema and topics"),
  Command.withDescription(
    "Make what capture and the pipelines need: publication, slot, state schema, topics, and tables that are a pipeline's own. What is there stays, and what was there and is gone is not made "
      + "anew: that would hide a gap. --resnapshot repairs one. Makes the checks of `cdc validate` first, and nothing if there are errors. Reads no rows; prints what it did."
  ),
  Command.withExamples([
    { command: "cdc setup", description: "With DATABASE_URL (direct endpoint) and KAFKA_BROKERS from the environment" },
    { command: "cdc setup --config production.yaml", description: "With a file over config/default.yaml" },
    { command: "cdc setup --resnapshot", description: "After capture stopped for a gap; then start `cdc run` again" }
  ])
)
