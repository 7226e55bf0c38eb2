import type { OwnDatabase } from "./TestDatabase.ts"
import type { ReadRecord } from "./TestTopics.ts"
import * as Position from "../../src/domain/Position.ts"
import * as Lsn from "../../src/domain/Lsn.ts"

/**
 * Every row of a table as its topic should show it, by the record's key; made by Postgres alone, so that it owes nothing to the
 * encoders it judges. Knows the types of the hub's tables.
 */
export const expectedRows = async (database: Pick<OwnDatabase, "query">, schema: string, table: string): Promise<Map<string, string>> => {
  const columns = await database.query<{ name: string; type: string; is_key: boolean }>(
    `select a.attname as name, format_type(a.atttypid, null) as type,
       coalesce(a.attnum = any((select i.indkey::int2[] from pg_index i where i.indrelid = a.attrelid and i.indisprimary)::int2[]), false) as is_key
     from pg_attribute a where a.attrelid = format('%I.%I', $1::text, $2::text)::regclass and a.attnum > 0 and not a.attisdropped order by a.attnum`,
    [schema, table]
  )
  const object = (some: typeof columns) => `json_build_object(${some.map(({ name, type }) => `'${name}', ${asInTopic(`t."${name}"`, type)}`).join(", ")})::text`
  const rows = await database.query<{ key: string; row: string }>(
    `select ${object(columns.filter(({ is_key }) => is_key))} as key, ${object(columns)} as row from "${schema}"."${table}" t`
  )
  return new Map(rows.map(({ key, row }) => [canonical(key), canonical(row)]))
}

const asInTopic = (column: string, type: string): string => {
  switch (type) {
    case "timestamp with time zone":
      return `to_char(${column} at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')`
    case "timestamp without time zone":
      return `(extract(epoch from ${column}) * 1000000)::bigint`
    case "date":
      return `${column} - date '1970-01-01'`
    case "numeric":
      return `case ${column}::text when 'NaN' then 'NAN' when 'Infinity' then 'POSITIVE_INFINITY' when '-Infinity' then 'NEGATIVE_INFINITY' else ${column}::text end`
    case "integer":
    case "bigint":
    case "boolean":
      return column
    default:
      return `${column}::text`
  }
}

const canonical = (json: string): string => JSON.stringify(JSON.parse(json))

/** What a topic says in the end: the last value of each key, without those whose last word is a delete. */
export const finalRows = (records: ReadonlyArray<ReadRecord>): Map<string, string> => {
  const rows = new Map<string, string>()
  for (const { key, value } of records) {
    const id = key!.toString()
    const after = value === null ? null : JSON.parse(value.toString()).after
    if (after === null) rows.delete(id)
    else rows.set(id, JSON.stringify(after))
  }
  return rows
}

/** Positions that do not grow along their partition, named; a tombstone shares its delete's. */
export const misplaced = (records: ReadonlyArray<ReadRecord>): ReadonlyArray<string> => {
  const last = new Map<number, Position.Position>()
  const found: Array<string> = []
  for (const record of records) {
    const position = positionOf(record)
    const before = last.get(record.partition)
    const grows = before === undefined || (record.value === null ? Position.compare(position, before) === 0 : Position.isAfter(position, before))
    if (!grows) found.push(`${record.partition}/${record.offset}: ${Position.format(position)} after ${Position.format(before!)}`)
    last.set(record.partition, position)
  }
  return found
}

const positionOf = ({ headers, value }: ReadRecord): Position.Position => {
  if (value === null) return Position.parse(headers["__cdc.position"]!)!
  const { source, transaction } = JSON.parse(value.toString())
  return { epoch: source.epoch, commitLsn: Lsn.Lsn(BigInt(transaction.id.split(":")[1])), order: transaction.total_order }
}
