import { Effect } from "effect"
import { Command } from "effect/cli"
import * as Connections from "./Connections.ts"
import * as Parts from "./Parts.ts"
import { serve } from "./Serve.ts"
import { untilStopped } from "./StopSignals.ts"

export const capture = Command.make(
  "capture",
  {},
  () => Effect.andThen(Parts.requireDirectEndpoint, serve([Parts.capture])).pipe(Effect.provide(Connections.layer), untilStopped)
).pipe(
  Command.withShortDescription("Only capture: from the WAL to the topics"),
  Command.withDescription(
    "Only capture: from the WAL to the topics. A slot has one reader; a second capture waits and takes over when the slot is free."
  ),
  Command.withExamples([{ command: "PORT=8086 cdc capture", description: "Beside pipelines in processes of their own" }])
)
