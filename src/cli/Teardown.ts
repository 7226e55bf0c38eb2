import { Console, Effect } from "effect"
import { Command, Flag } from "effect/cli"
import { ConfigurationError } from "../Config.ts"
import * as Teardown from "../run/Teardown.ts"
import * as Connections from "./Connections.ts"

export const teardown = Command.make(
  "teardown",
  {
    confirm: Flag.Boolean("confirm").pipe(
      Flag.withDescription("Yes, remove it; positions and state are lost"),
      Flag.withDefault(false)
    ),
    topics: Flag.Boolean("topics").pipe(
      Flag.withDescription("Delete the topics, too, with all that was published; without it they stay, as others read them"),
      Flag.withDefault(false)
    )
  },
  Effect.fnUntraced(function*({ confirm, topics }) {
    if (!confirm) {
      return yield* new ConfigurationError({
        message: "teardown removes the slot, the publication and the state schema, and forgets every position. "
          + "Say `cdc teardown --confirm` if that is what you want."
      })
    }
    yield* Effect.gen(function*() {
      for (const line of yield* Teardown.teardownWith({ topics })) yield* Console.log(line)
    }).pipe(Effect.provide(Connections.layer))
  })
).pipe(
  Command.withShortDescription("Remove what setup made"),
  Command.withDescription("Remove what setup made: slot, publication, state schema; with --topics the topics, too. The hub's own tables stay. Stop run and pipelines first."),
  Command.withExamples([
    { command: "cdc teardown --confirm", description: "Remove it, and print what was removed" },
    { command: "cdc teardown --confirm --topics", description: "The topics and their dead letters, too" }
  ])
)
