import { Console, Effect, Schema } from "effect"
import { Argument, Command, Flag } from "effect/cli"
import { readFileSync } from "node:fs"
import { explain as explainScore, type SignalRow } from "../../pipelines/bit-scores/Explanation.ts"
import { Settings } from "../../pipelines/bit-scores/Settings.ts"
import { Uuid } from "../../pipelines/Uuid.ts"
import { AppConfig, ConfigurationError } from "../Config.ts"
import { Postgres } from "../connections/Postgres.ts"
import * as Connections from "./Connections.ts"
import { Findings } from "./ExitCode.ts"
import { render, type StoredScore } from "./ExplanationView.ts"

/** By the database's clock, which the pipeline goes by, too; all of one instant. */
const statement = readFileSync(new URL("../../pipelines/bit-scores/explain.sql", import.meta.url), "utf8")

export const explain = Command.make(
  "explain",
  {
    outreach: Argument.String("OUTREACH_ID").pipe(Argument.withDescription("The outreach whose score is asked about (a uuid)")),
    json: Flag.Boolean("json").pipe(Flag.withDescription("The same for a machine"), Flag.withDefault(false))
  },
  Effect.fnUntraced(function*({ json, outreach }) {
    const id = outreach.toLowerCase()
    if (!Schema.is(Uuid)(id)) return yield* new ConfigurationError({ message: `Not an outreach id: ${JSON.stringify(outreach)}; expected a uuid, as outreach.outreach has it.` })
    const { pipelineSettings } = yield* AppConfig
    const rules = Schema.decodeUnknownSync(Settings)(pipelineSettings["bit-scores"])
    const [found] = yield* (yield* Postgres).query<Found>("Reading the outreach's signals and score", statement, [id])
    const { now, signals, stored, there } = found!
    if (!there && signals.length === 0) {
      yield* Console.error(`There is no outreach ${id}, and no signal of one.`)
      return yield* new Findings({ message: "no such outreach" })
    }
    const explanation = explainScore(signals, rules, now)
    yield* Console.log(json ? JSON.stringify({ outreachId: id, ...explanation, stored }, null, 2) : render(id, explanation, stored, rules, there))
  }, Effect.provide(Connections.layer))
).pipe(
  Command.withShortDescription("Why a score is what it is, and what becomes of it"),
  Command.withDescription(
    "Why a score is what it is: each signal with its age and what is left of it, the sum, the tier, and when the next tier comes if nothing happens."
  ),
  Command.withExamples([
    { command: "cdc explain 7b0c1f2e-0000-4000-8000-000000000001", description: "For people, with a forecast" },
    { command: "cdc explain 7b0c1f2e-0000-4000-8000-000000000001 --json", description: "For machines: .score, .signals[].points, .nextTierChange.at" }
  ])
)

interface Found {
  readonly now: bigint
  readonly there: boolean
  readonly stored: StoredScore | null
  readonly signals: ReadonlyArray<SignalRow>
}
