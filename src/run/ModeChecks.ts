import type { Settings } from "../Config.ts"
import { type Check, error, type Finding } from "../domain/Finding.ts"
import { unavailableValue } from "../domain/UnavailableValue.ts"

/** Pipelines read decimals as text, and know a value that is not there by its placeholder; all other modes are the same to them. Pure. */
export const checkModes = (types: Settings["types"], pipelines: ReadonlyArray<unknown>): Check => ({
  name: "modes of types",
  fine: `decimals as ${types.decimalHandlingMode}, times ${types.timePrecisionMode}`,
  findings: pipelines.length === 0 ? [] : modeProblems(types)
})

export const modeProblems = ({ decimalHandlingMode, unavailableValuePlaceholder }: Settings["types"]): ReadonlyArray<Finding> => [
  ...decimalHandlingMode === "string" ? [] : [
    error("types.decimalHandlingMode", `is ${decimalHandlingMode}, and the pipelines read decimals as text`, "set it to string, or run `cdc capture` alone")
  ],
  ...unavailableValuePlaceholder === unavailableValue ? [] : [
    error("types.unavailableValuePlaceholder", "is not the one that the pipelines know, so they would take it for a value",
      `set it to ${unavailableValue}, or run \`cdc capture\` alone`)
  ]
]
