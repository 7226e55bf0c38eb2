import { Effect } from "effect"
import type { Sql } from "../../connections/Postgres.ts"
import { quoteIdentifier } from "../../domain/SqlIdentifier.ts"
import * as TableName from "../../domain/TableName.ts"
import type { Row } from "./SampleRows.ts"

const rowsPerStatement = 2_000 // about 1 MB of JSON: large enough to be fast, small enough for any size of sample

/**
 * Inserts rows with the same columns, and answers how many. They travel as one JSON parameter a statement, which
 * Postgres reads by the table's own column types.
 */
export const insertAll = Effect.fnUntraced(function*(sql: Sql, table: TableName.TableName, rows: Iterable<Row>) {
  let written = 0
  for (const some of inChunks(rows, rowsPerStatement)) {
    const columns = Object.keys(some[0]!).map(quoteIdentifier).join(", ")
    const name = TableName.toSql(table)
    yield* sql.query(
      `Inserting into ${TableName.format(table)}`,
      `insert into ${name} (${columns}) select ${columns} from jsonb_populate_recordset(null::${name}, $1::jsonb)`,
      [JSON.stringify(some)]
    )
    written += some.length
  }
  return written
})

function* inChunks<A>(items: Iterable<A>, size: number): Iterable<ReadonlyArray<A>> {
  let chunk: Array<A> = []
  for (const item of items) {
    chunk.push(item)
    if (chunk.length === size) {
      yield chunk
      chunk = []
    }
  }
  if (chunk.length > 0) yield chunk
}
