import { Console, Effect } from "effect"
import { Argument, Command, Flag } from "effect/cli"
import { AppConfig } from "../Config.ts"
import { replay as replayPipeline, type Switched } from "../run/Replay.ts"
import type { ReplayProgress } from "../run/ReplayProgress.ts"
import * as Connections from "./Connections.ts"
import * as Parts from "./Parts.ts"

export const replay = Command.make(
  "replay",
  {
    name: Argument.String("pipeline").pipe(Argument.withDescription(`One of: ${Parts.pipelineNames.join(", ")}`)),
    anew: Flag.Boolean("restart").pipe(
      Flag.withDescription("Begin again at the topics' beginning; default: go on with a replay that was interrupted"),
      Flag.withDefault(false)
    ),
    json: Flag.Boolean("json").pipe(Flag.withDescription("Print the result as JSON"), Flag.withDefault(false))
  },
  Effect.fnUntraced(function*({ anew, json, name }) {
    const { pipelineSettings } = yield* AppConfig
    const pipeline = yield* Parts.definition(name, pipelineSettings[name])
    const switched = yield* replayPipeline(pipeline, { anew, tell: teller() })
    yield* Console.log(json ? JSON.stringify({ pipeline: name, ...switched }, null, 2) : render(name, switched))
  }, Effect.provide(Connections.layer))
).pipe(
  Command.withShortDescription("Rebuild a pipeline's state from its topics, and switch to it"),
  Command.withDescription(
    "Rebuild a pipeline's state from its topics, beside the one that is live, and switch to it in one short transaction; afterwards only rows that differ are "
      + "written again, by the pipeline as it runs. Readers and writers go on meanwhile. Ctrl-C interrupts it; run again, it goes on where it was."
  ),
  Command.withExamples([
    { command: "cdc replay bit-scores", description: "After a change of the pipeline's version, or when its state is wrong" },
    { command: "cdc replay bit-scores --restart", description: "Not from where an interrupted replay was" }
  ])
)

export const render = (name: string, { generation, records, switchMillis }: Switched): string =>
  switchMillis === null
    ? `${name}: generation ${generation} of its state is live; another process made the switch`
    : `${name}: generation ${generation} of its state is live, made from ${count(records)} records; the switch took ${switchMillis} ms. `
      + "The running pipeline compares all rows with it, and writes those that differ"

/** On a terminal one line that changes; elsewhere a line now and then. On stderr, since stdout is for the result. */
const teller = (): (progress: ReplayProgress) => void => {
  const { isTTY } = process.stderr
  let toldAt = 0
  return (progress) => {
    const now = Date.now()
    if (!isTTY && now - toldAt < lineEveryMillis) return
    toldAt = now
    process.stderr.write(isTTY ? `\r\u001b[K${line(progress)}${progress.percent === 100 ? "\n" : ""}` : `${line(progress)}\n`)
  }
}

const count = (value: number): string => value.toLocaleString("en-US")

const lineEveryMillis = 10_000

export const line = ({ done, of, percent, recordsPerSecond, secondsLeft }: ReplayProgress): string =>
  [
    `${count(done)} of ${count(of)} records (${percent} %)`,
    ...(recordsPerSecond === null ? [] : [`${count(recordsPerSecond)}/s`]),
    ...(secondsLeft === null || percent === 100 ? [] : [`${secondsLeft} s left`])
  ].join(", ")
