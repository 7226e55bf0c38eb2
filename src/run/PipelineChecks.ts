import type { Settings } from "../Config.ts"
import { type Check, error, type Finding, warning } from "../domain/Finding.ts"
import * as TableName from "../domain/TableName.ts"
import { unavailableValue } from "../domain/UnavailableValue.ts"
import { quoteIdentifier } from "../domain/SqlIdentifier.ts"
import { byAnother, statementsFor } from "../materialize/OwnTables.ts"
import type { Pipeline } from "../materialize/Pipeline.ts"
import type { WrittenTable } from "../materialize/WrittenTables.ts"

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

export const writtenTablesCheck = "tables that pipelines write"

/** Whether what pipelines write is there; what `cdc setup` makes is missed only once it was run. Pure. */
export const checkWrittenTables = (tables: ReadonlyArray<WrittenTable>, isSetUp: boolean): Check => {
  const toMake = tables.filter((table) => isForSetup(table) && table.missingColumns.length > 0)
  return {
    name: writtenTablesCheck,
    fine: toMake.length > 0 ? `${toMake.map(nameOf).join(", ")} not made yet; \`cdc setup\` makes what is a pipeline's own` : tables.length === 0 ? "none" : `all ${tables.length} there`,
    findings: isSetUp ? toMake.map((table) => error(`Table ${nameOf(table)}`, `of pipeline ${table.pipeline} ${lackOf(table)}`, "`cdc setup` makes it")) : []
  }
}

/** Whether the role may write them, and make what is not there: what `setup` can't mend. Pure. */
export const checkRights = (tables: ReadonlyArray<WrittenTable>, role: string): Check => ({
  name: "rights to write them",
  fine: tables.length === 0 ? "none needed" : `${role} has them`,
  findings: tables.flatMap((table): ReadonlyArray<Finding> => {
    const name = nameOf(table)
    const lacks = table.missingRights.length === 0 ? [] : [
      error(`Role ${role}`, `may not write ${name}, as pipeline ${table.pipeline} does: it lacks ${table.missingRights.join(", ")}`, grants(table, role))
    ]
    if (table.missingColumns.length === 0 || isForSetup(table)) return lacks
    return [
      error(`Table ${name}`, `of pipeline ${table.pipeline} ${lackOf(table)}`,
        table.target.isOurs ? `${byAnother(statementsFor(table))}; role ${role} may not` : "have the hub's migrations make it, or take the pipeline off pipelines.enabled"),
      ...lacks
    ]
  })
})

const nameOf = ({ target }: WrittenTable): string => TableName.format(target.table)
const isForSetup = ({ mayMake, target }: WrittenTable): boolean => target.isOurs === true && mayMake
const lackOf = ({ isThere, missingColumns }: WrittenTable): string => isThere ? `has no ${missingColumns.join(", ")}` : "is not there"

const grants = ({ missingRights, target }: WrittenTable, role: string): string => {
  const to = ` TO ${quoteIdentifier(role)}`
  const onTable = missingRights.filter((right) => !right.startsWith("usage"))
  return [
    ...missingRights.filter((right) => right.startsWith("usage")).map((right) => `GRANT ${right.replace("usage on schema", "USAGE ON SCHEMA")}${to}`),
    ...onTable.length === 0 ? [] : [`GRANT ${onTable.join(", ").toUpperCase()} ON ${TableName.toSql(target.table)}${to}`]
  ].join("; ")
}

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
