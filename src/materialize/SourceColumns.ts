import { SchemaAST, type Schema } from "effect"
import type { TableName } from "../domain/TableName.ts"
import type { Pipeline, Source } from "./Pipeline.ts"

/** The columns that a pipeline reads of each of its sources, as they stand in the topic; besides, it rests on each table's key. */
export const columnsRead = (pipeline: Pipeline): ReadonlyArray<{ readonly table: TableName; readonly columns: ReadonlyArray<string> }> =>
  pipeline.sources.map((source) => ({ table: source.table, columns: columnsOf(source) }))

const columnsOf = (source: Source): ReadonlyArray<string> => {
  if (source.kind === "trigger") return []
  const carried = source.kind === "entries" && source.carry !== undefined ? [source.carry.key.column, ...Object.values(source.carry.columns)] : []
  return [...new Set([...fieldsOf(source.row), ...carried])]
}

/** Of a struct, its fields before decoding. */
const fieldsOf = (row: Schema.ConstraintDecoder<unknown>): ReadonlyArray<string> => {
  const encoded = SchemaAST.toEncoded(row.ast)
  if (!SchemaAST.isObjects(encoded)) throw new TypeError("A source's row must be a struct of its columns")
  return encoded.propertySignatures.map(({ name }) => String(name))
}
