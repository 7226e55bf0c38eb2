import { Console, Effect, Option } from "effect"
import { Argument, Command, Flag } from "effect/cli"
import { AppConfig, ConfigurationError } from "../Config.ts"
import * as TopicName from "../domain/TopicName.ts"
import * as TableName from "../domain/TableName.ts"
import { acceptBadRecords, listDeadLetters } from "../run/DeadLetterList.ts"
import { retryDeadLetters } from "../run/DeadLetterRetry.ts"
import * as Connections from "./Connections.ts"
import { render, renderRetry } from "./DeadLettersView.ts"
import { Findings } from "./ExitCode.ts"
import { definition } from "./Parts.ts"

const pipelineArgument = Argument.String("pipeline").pipe(Argument.withDescription("The pipeline that set them aside"))
const reasonFlag = Flag.String("reason").pipe(Flag.withDescription("Only those with this reason, as `list` shows it"), Flag.optional)
const jsonFlag = Flag.Boolean("json").pipe(Flag.withDescription("Print JSON"), Flag.withDefault(false))

const configured = Effect.fnUntraced(function*(name: string) {
  return yield* definition(name, (yield* AppConfig).pipelineSettings[name])
})

const list = Command.make(
  "list",
  {
    pipeline: Flag.String("pipeline").pipe(Flag.withDescription("Only this pipeline's; default: of all that are enabled"), Flag.optional),
    topic: Flag.String("topic").pipe(Flag.withDescription("Only from this topic; schema.table will do"), Flag.optional),
    reason: reasonFlag,
    limit: Flag.Int("limit").pipe(Flag.withDescription("Letters shown at the most; the counts are of all"), Flag.withDefault(100)),
    json: jsonFlag
  },
  Effect.fnUntraced(function*({ json, limit, pipeline, reason, topic }) {
    const { kafka, pipelines } = yield* AppConfig
    const names = Option.match(pipeline, { onNone: () => pipelines.enabled, onSome: (name) => [name] })
    const found = yield* listDeadLetters(yield* Effect.forEach(names, configured), {
      ...Option.match(topic, { onNone: () => ({}), onSome: (name) => ({ topic: topicOf(kafka.topicPrefix, name) }) }),
      ...Option.match(reason, { onNone: () => ({}), onSome: (reason) => ({ reason }) })
    }, limit)
    yield* Console.log(json ? JSON.stringify(found, (_, value) => typeof value === "bigint" ? Number(value) : value, 2) : render(found))
  }, Effect.provide(Connections.layer))
).pipe(
  Command.withShortDescription("What was set aside, and why"),
  Command.withDescription("What the pipelines set aside, and why: counts per pipeline and reason, then the letters, open ones first. Keys are shown, values never."),
  Command.withExamples([
    { command: "cdc dead-letters list", description: "Of all pipelines" },
    { command: "cdc dead-letters list --pipeline bit-scores --reason decay-not-positive --json", description: "For a machine" }
  ])
)

/** `outreach.bit_signals` or `hub.outreach.bit_signals`. */
const topicOf = (prefix: string, name: string): string =>
  name.startsWith(`${prefix}.`) ? name : TopicName.ofTable(prefix, TableName.parse(name))

const retry = Command.make(
  "retry",
  {
    pipeline: pipelineArgument,
    all: Flag.Boolean("all").pipe(Flag.withDescription("All that are open"), Flag.withDefault(false)),
    reason: reasonFlag,
    keys: Flag.String("key").pipe(Flag.withDescription("Only of this row; may be given several times"), Flag.atLeast(0)),
    json: jsonFlag
  },
  Effect.fnUntraced(function*({ all, json, keys, pipeline, reason }) {
    if (!all && Option.isNone(reason) && keys.length === 0) {
      return yield* new ConfigurationError({ message: "Say which dead letters to retry: --all, --reason REASON or --key KEY." })
    }
    const report = yield* retryDeadLetters(yield* configured(pipeline), {
      ...Option.match(reason, { onNone: () => ({}), onSome: (reason) => ({ reason }) }),
      ...(keys.length === 0 ? {} : { keys })
    })
    yield* Console.log(json ? JSON.stringify(report, null, 2) : renderRetry(report))
    const left = report.stillBad.length + report.missing
    if (left > 0) return yield* new Findings({ message: `${left} dead letters are still open` })
  }, Effect.provide(Connections.layer))
).pipe(
  Command.withShortDescription("Apply dead letters once their cause is gone"),
  Command.withDescription(
    "Apply dead letters once their cause is gone (another version or configuration runs), in the way of any change, beside the running pipelines, once. "
      + "What later changes of the same row have made void is not applied; a deleted row stays deleted. May be interrupted and run again. Exit 1 if some are still open."
  ),
  Command.withExamples([
    { command: "cdc dead-letters retry bit-scores --all", description: "All that are open" },
    { command: "cdc dead-letters retry bit-scores --reason unreadable-row", description: "Those with one reason" }
  ])
)

const accept = Command.make(
  "accept",
  { pipeline: pipelineArgument },
  Effect.fnUntraced(function*({ pipeline }) {
    const isKnown = yield* acceptBadRecords(yield* configured(pipeline))
    yield* Console.log(isKnown
      ? `${pipeline}: bad records that are in its topics now go to the dead letters; a paused pipeline goes on within a second or so.`
      : `${pipeline} has never run; there is nothing to accept.`)
  }, Effect.provide(Connections.layer))
).pipe(
  Command.withShortDescription("Let a paused pipeline move its bad records to the dead letters, and go on"),
  Command.withDescription(
    "Let a pipeline that pauses because of too many bad records move those that are in its topics now to the dead letters, and go on. What is written later is judged anew."
  ),
  Command.withExamples([{ command: "cdc dead-letters accept bit-scores", description: "After looking at /readyz, which says what is wrong" }])
)

export const deadLetters = Command.make("dead-letters").pipe(
  Command.withShortDescription("See, retry or accept what pipelines can't use"),
  Command.withDescription("See, retry or accept what pipelines can't use"),
  Command.withSubcommands([list, retry, accept])
)
