import { Effect } from "effect"
import { Argument, Command } from "effect/cli"
import * as Connections from "./Connections.ts"
import * as Parts from "./Parts.ts"
import { serve } from "./Serve.ts"
import { untilStopped } from "./StopSignals.ts"

export const pipeline = Command.make(
  "pipeline",
  {
    names: Argument.String("name").pipe(
      Argument.withDescription(`One or more of: ${Parts.pipelineNames.join(", ")}`),
      Argument.variadic({ min: 1 })
    )
  },
  Effect.fnUntraced(function*({ names }) {
    yield* serve(yield* Parts.pipelines(names))
  }, Effect.provide(Connections.layer), untilStopped)
).pipe(
  Command.withShortDescription("Only pipelines: from the topics to the aggregates"),
  Command.withDescription(
    "Only pipelines: from the topics to the aggregates. Start the same one on as many machines as its topics have partitions."
  ),
  Command.withExamples([
    { command: "cdc pipeline bit-scores", description: "One pipeline" },
    { command: "PORT=8087 cdc pipeline campaign-totals legacy-mirrors", description: "Two in one process" }
  ])
)
