import type { Settings } from "../Config.ts"
import { type Check, error, type Finding, warning } from "../domain/Finding.ts"
import * as TableName from "../domain/TableName.ts"
import { unavailableValue } from "../domain/UnavailableValue.ts"
import type { Pipeline } from "../materialize/Pipeline.ts"

/** Whether each pipeline's tables are captured. Pure. */
export const checkSources = (tables: ReadonlyArray<TableName.TableName>, pipelines: ReadonlyArray<Pipeline>): Check => {
  const captured = new Set(tables.map(TableName.format))
  const missing = (pipeline: Pipeline) => [...new Set(pipeline.sources.map(({ table }) => TableName.format(table)))].filter((name) => !captured.has(name))
  return {
    name: "pipelines",
    fine: pipelines.length === 0 ? "none enabled" : pipelines.map(({ name }) => name).join(", "),
    findings: pipelines.filter((pipeline) => missing(pipeline).length > 0).map((pipeline) =>
      warning(`Pipeline ${pipeline.name}`, `reads what is not captured: ${missing(pipeline).join(", ")}`, "add them to source.tables, or take the pipeline off pipelines.enabled"))
  }
}

/** Whether what pipelines announce has topics to go to: capture leaves out what has none. Pure. */
export const checkAnnouncements = (eventTopics: ReadonlyArray<string>, pipelines: ReadonlyArray<Pipeline>): Check => ({
  name: "events",
  fine: eventTopics.length === 0 ? "none" : eventTopics.join(", "),
  findings: pipelines.flatMap(({ groups, name }) =>
    Object.values(groups).flatMap(({ announce }) =>
      announce === undefined || eventTopics.includes(announce.topic) ? [] : [
        error(`Pipeline ${name}`, `announces ${announce.topic}, which is not in kafka.eventTopics: its events would be lost`, `add ${announce.topic} to kafka.eventTopics`)
      ]))
})

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
