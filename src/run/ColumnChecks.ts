import { Effect, Redacted } from "effect"
import * as Catalogue from "../capture/Catalogue.ts"
import { AppConfig, ConfigurationError, type Settings } from "../Config.ts"
import { Postgres } from "../connections/Postgres.ts"
import * as ColumnName from "../domain/ColumnName.ts"
import { advice, type Check, error, type Finding, sentence, warning } from "../domain/Finding.ts"
import type { Relation } from "../domain/RowChange.ts"
import * as TableName from "../domain/TableName.ts"
import type { Pipeline } from "../materialize/Pipeline.ts"
import { columnsRead } from "../materialize/SourceColumns.ts"

type Columns = Settings["columns"]

export const columnsCheck = "columns that must not leave"

/** Whether what the configuration leaves out, hashes or cuts is there, and nobody's: no key's, and no pipeline's. Pure. */
export const checkColumns = (columns: Columns, relations: ReadonlyArray<Relation>, pipelines: ReadonlyArray<Pipeline>): Check => {
  const treated = treatedOf(columns)
  return {
    name: columnsCheck,
    fine: treated.length === 0 ? "none named" : `${treated.length} named, and no pipeline reads one`,
    findings: [
      ...treated.flatMap((column) => placeProblem(column, relations)),
      ...pipelines.flatMap((pipeline) => readProblems(treated, relations, pipeline)),
      ...saltProblem(columns)
    ]
  }
}

interface Treated extends ColumnName.ColumnName {
  readonly option: "exclude" | "hash" | "truncate"
}

const treatedOf = ({ exclude, hash, truncate }: Columns): ReadonlyArray<Treated> => [
  ...exclude.map((name) => ({ ...name, option: "exclude" as const })),
  ...hash.map((name) => ({ ...name, option: "hash" as const })),
  ...truncate.map((name) => ({ ...name, option: "truncate" as const }))
]

const placeProblem = (column: Treated, relations: ReadonlyArray<Relation>): ReadonlyArray<Finding> => {
  const thing = `columns.${column.option}`
  const name = ColumnName.format(column)
  const relation = relations.find((relation) => relation.schema === column.schema && relation.table === column.table)
  if (relation === undefined) return [warning(thing, `names ${name}, and ${TableName.format(column)} is not captured`, "correct the name, or take it off")]
  const index = relation.columns.findIndex((found) => found.name === column.column)
  if (index === -1) return [warning(thing, `names ${name}, which ${TableName.format(column)} has not (yet)`, "correct the name, if the column is not to be added later")]
  if (relation.key.includes(index) && column.option !== "hash") return [error(thing, `names ${name}, which is part of its table's key: rows could not be told apart without it`, "take it off, or hash it (columns.hash)")]
  return []
}

/** Hashed, cut or absent, a value says nothing to the pipeline that reads it; by the key it finds its rows. */
const readProblems = (treated: ReadonlyArray<Treated>, relations: ReadonlyArray<Relation>, pipeline: Pipeline): ReadonlyArray<Finding> =>
  columnsRead(pipeline).flatMap(({ columns, table }) => {
    const relation = relations.find((relation) => relation.schema === table.schema && relation.table === table.table)
    const read = new Set([...columns, ...relation?.key.map((index) => relation.columns[index]!.name) ?? []])
    return treated.filter((column) => column.schema === table.schema && column.table === table.table && read.has(column.column)).map((column) =>
      error(`columns.${column.option}`, `names ${ColumnName.format(column)}, which pipeline ${pipeline.name} reads`,
        `take it off, or the pipeline off pipelines.enabled`))
  })

/** Shorter ones can be tried out, and with the salt the values. */
const shortestSalt = 16

const saltProblem = ({ hash, hashSalt }: Columns): ReadonlyArray<Finding> =>
  hash.length > 0 && Redacted.value(hashSalt).length < shortestSalt
    ? [advice("CDC_COLUMNS_HASH_SALT", `has less than ${shortestSalt} characters: it can be found by trying`, "use a longer one; hashes change with it, so the topics must be made anew")]
    : []

/** Before a pipeline starts: refuses a configuration that takes from the topics what it reads. */
export const requireReadable = Effect.fnUntraced(function*(pipeline: Pipeline) {
  const { columns } = yield* AppConfig
  if (treatedOf(columns).length === 0) return
  const catalogue = Catalogue.make(yield* Postgres)
  const relations: Array<Relation> = []
  for (const { table } of columnsRead(pipeline)) {
    const announced = yield* catalogue.announce(table, false)
    if (announced !== undefined) relations.push(yield* catalogue.resolve(announced.message))
  }
  const problems = readProblems(treatedOf(columns), relations, pipeline)
  if (problems.length > 0) return yield* new ConfigurationError({ message: problems.map(sentence).join("\n") })
})
