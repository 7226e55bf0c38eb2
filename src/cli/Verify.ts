import { Console, Effect } from "effect"
import { Argument, Command, Flag } from "effect/cli"
import { oracles } from "../../pipelines/Oracle.ts"
import { AppConfig, ConfigurationError } from "../Config.ts"
import { Postgres } from "../connections/Postgres.ts"
import { countSuspects } from "../run/DeadLetterList.ts"
import { Progress } from "../run/Progress.ts"
import { repair } from "../run/Repair.ts"
import * as Verify from "../run/Verify.ts"
import * as Connections from "./Connections.ts"
import { Findings } from "./ExitCode.ts"
import { definition } from "./Parts.ts"
import { right, textTable } from "./TextTable.ts"
import { verifyShadowAndPrint } from "./VerifyShadow.ts"

/**
 * Compares what the enabled pipelines keep with the base tables, prints the verdict, and fails with `Findings` on any difference.
 * With `repair` the running pipelines first write what differs again, and the verdict is of what then still differs.
 */
export const verifyAndPrint = Effect.fnUntraced(function*<E, R>(options: {
  readonly json: boolean
  readonly repair?: boolean
  /** Compare and mend only these; absent or empty: all. */
  readonly keys?: ReadonlyArray<string>
  readonly waitUntilApplied: Verify.Options<E, R>["waitUntilApplied"]
}) {
  const { pipelineSettings, pipelines, source } = yield* AppConfig
  const question = {
    oracles: oracles.filter(({ pipeline }) => pipelines.enabled.includes(pipeline)),
    settings: pipelineSettings,
    stateSchema: source.stateSchema,
    waitUntilApplied: options.waitUntilApplied,
    ...(options.keys === undefined || options.keys.length === 0 ? {} : { keys: options.keys })
  } satisfies Verify.Options<E, R>
  const unknown = options.keys === undefined || options.keys.length === 0 ? [] : yield* Verify.unknownKeys(question)
  if (unknown.length > 0) return yield* new ConfigurationError({ message: notKept(unknown) })
  const compare = Verify.verify(question)
  const print = (verdict: Verify.Verdict) => Console.log(options.json ? JSON.stringify(verdict, null, 2) : render(verdict))
  const first = yield* compare
  const isRepairing = options.repair === true && !first.equal
  if (isRepairing) {
    const shadows = pipelines.enabled.filter((name) => pipelines.modes[name] === "shadow")
    for (const name of shadows) yield* Console.error(`${name} is in shadow mode and writes nothing: its rows are left as they are`)
    const definitions = yield* Effect.forEach(pipelines.enabled, (name) => definition(name, pipelineSettings[name]))
    const count = yield* repair(first.targets.filter(({ pipeline }) => !shadows.includes(pipeline)), definitions, source.stateSchema)
    yield* Console.error(`${count} ${count === 1 ? "row is" : "rows are"} to be written again; waiting for the pipelines`)
    yield* options.waitUntilApplied(repairWaitMillis)
  }
  const verdict = isRepairing ? yield* compare : first
  yield* print(verdict)
  yield* tellOfSuspects
  if (verdict.equal) return
  return yield* new Findings({ message: isRepairing ? `${summary(verdict)} after the repair: ${notRepaired}` : summary(verdict) })
})

const notKept = (keys: ReadonlyArray<string>): string =>
  `No enabled pipeline keeps a row with ${keys.length === 1 ? "key" : "one of the keys"} ${keys.map((key) => JSON.stringify(key)).join(", ")}; nothing was compared or mended. `
    + "A key is written as in the table of differences of `cdc verify`"

const repairWaitMillis = 30_000
const notRepaired = "either no pipeline runs to do it, or its state itself is wrong; then rebuild that from the topics with `cdc replay PIPELINE`"

/** Known from the dead letters, and so not for the oracle to say; on stderr, since stdout may be JSON. */
const tellOfSuspects = Effect.gen(function*() {
  const { pipelineSettings, pipelines, source } = yield* AppConfig
  const postgres = yield* Postgres
  for (const name of pipelines.enabled) {
    const rows = yield* countSuspects(postgres, source.stateSchema, yield* definition(name, pipelineSettings[name]))
    if (rows > 0) yield* Console.error(`${name}: ${rows} source ${rows === 1 ? "row counts" : "rows count"} as before a change that can't be read; see \`cdc dead-letters list --pipeline ${name}\``)
  }
})

export const verify = Command.make(
  "verify",
  {
    shadow: Flag.Boolean("shadow").pipe(
      Flag.withDescription("Compare with what pipelines in shadow mode would write, rather than with the base tables"),
      Flag.withDefault(false)
    ),
    json: Flag.Boolean("json").pipe(Flag.withDescription("Print the verdict as JSON"), Flag.withDefault(false)),
    repair: Flag.Boolean("repair").pipe(
      Flag.withDescription("Let the running pipelines write again what differs, from their state, and compare once more"),
      Flag.withDefault(false)
    ),
    keys: Argument.String("key").pipe(
      Argument.withDescription("With --repair: compare and mend only these rows, by their key as the table of differences has it"),
      Argument.variadic()
    )
  },
  Effect.fnUntraced(function*({ json, keys, repair, shadow }) {
    if (shadow && (repair || keys.length > 0)) return yield* new ConfigurationError({ message: "--shadow only looks: it goes without --repair and keys" })
    if (shadow) return yield* verifyShadowAndPrint(json)
    if (keys.length > 0 && !repair) return yield* new ConfigurationError({ message: "Keys are named for --repair only: cdc verify --repair KEY…" })
    const progress = yield* Progress
    yield* verifyAndPrint({ json, repair, keys, waitUntilApplied: progress.waitUntilApplied })
  }, Effect.provide(Connections.layer))
).pipe(
  Command.withShortDescription("Recompute every aggregate from the base tables and compare"),
  Command.withDescription(
    "Recompute every aggregate from the base tables and compare; right also while writes go on. Exit 1 if anything differs."
  ),
  Command.withExamples([
    { command: "cdc verify", description: "A table of differences, or `no differences`, with what was compared" },
    { command: "cdc verify --json", description: "The same for a machine" },
    { command: "cdc verify --shadow", description: "What pipelines in shadow mode would change" },
    { command: "cdc verify --repair", description: "Mends hand edits of columns that the pipelines own" },
    { command: "cdc verify --repair 0a000000-0000-4000-8000-000000000001", description: "Mends this row, and leaves the others" }
  ])
)

/** The verdict for a person: counts per table, then every difference. */
export const render = (verdict: Verify.Verdict): string => {
  const counts = textTable(
    ["table", ...["compared", "different", "unsettled", "unmanaged", "drifted"].map(right)],
    verdict.targets.map((target) => [
      target.target,
      String(target.compared),
      `${new Set(target.differences.map(({ key }) => key)).size}${target.complete ? "" : " or more"}`,
      String(target.unsettled.length),
      String(target.unmanaged),
      target.drifted === null ? "-" : String(target.drifted)
    ])
  )
  const cells = verdict.targets.flatMap(({ differences, target }) =>
    differences.map(({ column, expected, key, stored }) => [target, key, column, stored ?? "null", expected ?? "null"]))
  const details = cells.length === 0 ? [] : [textTable(["table", "key", "column", "stored", "expected"], cells, widestCell)]
  return [counts, ...details, summary(verdict), ...notes(verdict)].join("\n\n")
}

const summary = (verdict: Verify.Verdict): string => {
  if (verdict.equal) return "no differences"
  const keys = verdict.targets.reduce((sum, { differences }) => sum + new Set(differences.map(({ key }) => key)).size, 0)
  return `${keys} ${keys === 1 ? "row differs" : "rows differ"} from the base tables`
}

const notes = (verdict: Verify.Verdict): ReadonlyArray<string> => [
  ...(verdict.applied ? [] : ["The pipelines had not applied all earlier changes in time; what differs may be changes on their way. See `cdc status`."]),
  ...(verdict.targets.every(({ complete }) => complete) ? [] : ["There are more differences than shown; these are the first of their table."]),
  ...(verdict.targets.every(({ unsettled }) => unsettled.length === 0)
    ? []
    : ["Unsettled rows differ, but not each time in the same way; compare again when writers are quieter."])
]

const widestCell = 60 // beyond it a value is cut, so that a row stays readable
