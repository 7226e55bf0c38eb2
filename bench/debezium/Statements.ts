import { quoteIdentifier } from "../../src/domain/SqlIdentifier.ts"
import * as TableName from "../../src/domain/TableName.ts"
import type { Random } from "../../src/embedded/hub/Random.ts"
import type { Table } from "./Database.ts"
import type { Statement } from "./Session.ts"

/** A captured table, and where its first rows are kept: what writes take their values from. */
export interface Source {
  readonly table: Table
  readonly pristine: string
  /** The same rows in COPY's text format, without generated columns. */
  readonly lines: ReadonlyArray<string>
}

/** Makes a statement; undefined if the table can't have it. `unused` is a number from which on 100 are free for keys. */
type Maker = (source: Source, random: Random, unused: number) => Statement | undefined

const name = ({ table }: Source): string => TableName.toSql(table.name)
const list = (columns: ReadonlyArray<string>): string => columns.map(quoteIdentifier).join(", ")

/** Columns whose values no two rows may share. */
const uniqueColumns = ({ identity, identityColumns, key }: Table): ReadonlyArray<string> =>
  identity === "f" ? key : [...new Set([...key, ...identityColumns])]

export const writable = ({ columns }: Table): ReadonlyArray<string> => columns.filter(({ isGenerated }) => !isGenerated).map(({ name }) => name)

/** Postgres rejects updates and deletes of a table whose rows can't be told apart. */
const hasIdentity = ({ identityColumns }: Table): boolean => identityColumns.length > 0

/** A value of the column's type that no row has, from a number (an SQL expression) that no row was made of. */
const keyFrom = (table: Table, column: string, number: string): string => {
  const { type } = table.columns.find(({ name }) => name === column)!
  if (type === "uuid") return `md5((${number})::text)::uuid`
  if (type.startsWith("numeric")) return `(${number}) / 100.0`
  if (type === "date") return `date '2000-01-01' + (${number})::int % 100000`
  if (type.startsWith("timestamp")) return `timestamptz '2000-01-01 00:00:00+00' + (${number}) * interval '1 second'`
  if (type.startsWith("character(")) return `right((${number})::text, 3)`
  if (/^(text|character)/.test(type)) return `'k' || (${number})`
  return `${number}`
}

const someRows = (source: Source, count: number): string =>
  `ctid = any (array(select ctid from ${name(source)} order by random() limit ${count}))`

const somePristine = (source: Source, column: string): string =>
  `(select ${quoteIdentifier(column)} from ${source.pristine} order by random() limit 1)`

const insert = (most: number): Maker => (source, random, unused) => {
  const { table } = source
  const columns = writable(table)
  const values = columns.map((column) => uniqueColumns(table).includes(column) ? keyFrom(table, column, `${unused} + row_number() over ()`) : quoteIdentifier(column))
  return {
    sql: `insert into ${name(source)} (${list(columns)}) overriding system value
      select ${values.join(", ")} from (select * from ${source.pristine} order by random() limit ${random.between(1, most)}) p`
  }
}

const copy: Maker = (source, random, unused) => {
  const { table } = source
  if (source.lines.length === 0) return undefined
  const columns = writable(table)
  const replaceable = uniqueColumns(table)
  if (!replaceable.every((column) => /^(integer|bigint|text|character)/.test(table.columns.find(({ name }) => name === column)!.type))) return undefined
  const rows = Array.from({ length: random.between(1, 9) }, (_, n) =>
    random.pick(source.lines).split("\t").map((value, index) => replaceable.includes(columns[index]!) ? String(unused + n) : value).join("\t"))
  return { copy: `copy ${name(source)} (${list(columns)}) from stdin`, rows }
}

const update = (mostColumns: number, mostRows: number): Maker => (source, random) => {
  const { table } = source
  const free = writable(table).filter((column) => !uniqueColumns(table).includes(column))
  if (!hasIdentity(table) || free.length === 0) return undefined
  const chosen = new Set(Array.from({ length: random.between(1, mostColumns) }, () => random.pick(free)))
  const assignments = [...chosen].map((column) => `${quoteIdentifier(column)} = ${somePristine(source, column)}`)
  return { sql: `update ${name(source)} set ${assignments.join(", ")} where ${someRows(source, random.between(1, mostRows))}` }
}

const touch: Maker = (source, random) => {
  const column = random.pick(writable(source.table))
  if (!hasIdentity(source.table)) return undefined
  return { sql: `update ${name(source)} set ${quoteIdentifier(column)} = ${quoteIdentifier(column)} where ${someRows(source, random.between(1, 3))}` }
}

const changeKey: Maker = (source, random, unused) => {
  const { table } = source
  if (!hasIdentity(table) || uniqueColumns(table).length === 0) return undefined
  const column = random.pick(uniqueColumns(table))
  return { sql: `update ${name(source)} set ${quoteIdentifier(column)} = ${keyFrom(table, column, String(unused))} where ${someRows(source, 1)}` }
}

const remove = (most: number): Maker => (source, random) =>
  hasIdentity(source.table) ? { sql: `delete from ${name(source)} where ${someRows(source, random.between(1, most))}` } : undefined

/** Of a row whose key is taken: an update by another way. */
const upsert: Maker = (source, random) => {
  const { table } = source
  const free = writable(table).filter((column) => !uniqueColumns(table).includes(column))
  if (table.identity !== "d" || table.key.length === 0 || free.length === 0) return undefined
  const column = quoteIdentifier(random.pick(free))
  return {
    sql: `insert into ${name(source)} (${list(writable(table))}) overriding system value
      select ${list(writable(table))} from (select * from ${name(source)} order by random() limit 2) t
      on conflict (${list(table.key)}) do update set ${column} = ${somePristine(source, random.pick(free))}`
  }
}

const truncate: Maker = (source) => ({ sql: `truncate ${name(source)}` })

/** How often which statement, in parts of the whole. */
const mix: ReadonlyArray<readonly [parts: number, kind: string, make: Maker]> = [
  [22, "insert", insert(1)],
  [10, "insert of several rows", insert(8)],
  [8, "COPY", copy],
  [22, "update", update(1, 1)],
  [12, "update of several columns and rows", update(4, 5)],
  [4, "update that changes nothing", touch],
  [8, "change of a key", changeKey],
  [8, "delete", remove(1)],
  [3, "delete of several rows", remove(5)],
  [2, "upsert", upsert],
  [1, "TRUNCATE", truncate]
]

export const deck: ReadonlyArray<{ readonly kind: string; readonly make: Maker }> = mix.flatMap(([parts, kind, make]) => Array.from({ length: parts }, () => ({ kind, make })))
