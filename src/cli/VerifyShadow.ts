import { Console, Effect } from "effect"
import { AppConfig } from "../Config.ts"
import { type ShadowVerdict, verifyShadow } from "../run/ShadowVerify.ts"
import { Findings } from "./ExitCode.ts"
import { definition } from "./Parts.ts"
import { right, textTable } from "./TextTable.ts"

const widestCell = 60 // beyond it a value is cut, so that a row stays readable
/** Of each pipeline; more would be nothing for a person to read. */
const maxDifferences = 1_000

/**
 * Shows what the enabled pipelines that have a candidate (shadow mode, or a replay under way) would write. Fails with `Findings` if that
 * is anything, or if there is no candidate to compare.
 */
export const verifyShadowAndPrint = Effect.fnUntraced(function*(json: boolean) {
  const { pipelineSettings, pipelines } = yield* AppConfig
  const verdicts = (yield* Effect.forEach(pipelines.enabled, (name) =>
    Effect.flatMap(definition(name, pipelineSettings[name]), (pipeline) => verifyShadow(pipeline, maxDifferences))))
    .filter(({ generation, pipeline }) => generation !== null || pipelines.modes[pipeline] === "shadow")
  yield* Console.log(json ? JSON.stringify(verdicts, null, 2) : render(verdicts))
  if (verdicts.length > 0 && verdicts.every(({ differing, generation }) => differing === 0 && generation !== null)) return
  return yield* new Findings({ message: "differences, or nothing to compare" })
})

export const render = (verdicts: ReadonlyArray<ShadowVerdict>): string => {
  if (verdicts.length === 0) return "Nothing to compare: no enabled pipeline is in shadow mode (pipelines.<name>.mode: shadow), and none is being replayed."
  const counts = textTable(
    ["pipeline", ...["generation", "compared", "different", "unsettled"].map(right)],
    verdicts.map(({ compared, differing, generation, pipeline, unsettled }) => [pipeline, generation === null ? "not begun" : String(generation), String(compared), String(differing), String(unsettled)])
  )
  const cells = verdicts.flatMap(({ differences }) =>
    differences.map(({ column, key, stored, table, wouldBe }) => [table, key, column, stored ?? "null", wouldBe ?? "null"]))
  const details = cells.length === 0 ? [] : [textTable(["table", "key", "column", "stored", "would be"], cells, widestCell)]
  const isCut = verdicts.some(({ differences }) => differences.length >= maxDifferences)
  return [counts, ...details, ...(isCut ? ["There are more differences than shown; these are the first of their pipeline."] : [])].join("\n\n")
}
