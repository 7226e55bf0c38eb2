import { Effect } from "effect"
import { Command } from "effect/cli"
import { AppConfig } from "../Config.ts"
import * as Connections from "./Connections.ts"
import * as Parts from "./Parts.ts"
import { serve } from "./Serve.ts"
import { untilStopped } from "./StopSignals.ts"

export const run = Command.make(
  "run",
  {},
  Effect.fnUntraced(function*() {
    const { pipelines } = yield* AppConfig
    yield* Parts.requireDirectEndpoint
    yield* serve([Parts.capture, ...yield* Parts.pipelines(pipelines.enabled)])
  }, Effect.provide(Connections.layer), untilStopped)
).pipe(
  Command.withShortDescription("Capture, pipelines and status page in one process"),
  Command.withDescription(
    "Capture, all enabled pipelines and the status page, in one process. Reads the existing rows first if that was not finished. "
      + "Ctrl-C stops in order; a second Ctrl-C at once."
  ),
  Command.withExamples([
    { command: "cdc run", description: "After cdc setup; the page is at http://127.0.0.1:8085/" },
    { command: "PORT=9000 LOG_LEVEL=debug cdc run", description: "Another port, more to read" }
  ])
)
