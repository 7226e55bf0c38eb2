import { Effect } from "effect"
import type { PostgresError } from "../connections/PostgresError.ts"
import type { Sql } from "../connections/Postgres.ts"
import type { Column, ColumnType, Relation } from "../domain/RowChange.ts"
import * as TableName from "../domain/TableName.ts"
import type { WalColumn, WalRelation } from "./WalMessage.ts"

/**
 * Completes relations: pgoutput sends a table's name, columns, type OIDs and identity flags; the types' nature and the
 * key's order are only in the catalogue. Names and types are the message's, because the catalogue may already be ahead of it.
 * Relations are cached by their message; a changed message is resolved again, so a table may change while running.
 */
export const make = (sql: Sql) => {
  const types = new Map<number, StoredType>()
  const relations = new Map<number, { readonly message: string; readonly relation: Relation }>()

  const loadTypes = Effect.fnUntraced(function*(columns: ReadonlyArray<WalColumn>) {
    const missing = [...new Set(columns.map((column) => column.typeOid))].filter((oid) => !types.has(oid))
    if (missing.length === 0) return
    for (const row of yield* sql.query<StoredType>("Reading column types", typesStatement, [missing])) types.set(row.oid, row)
  })

  /** What is known without asking the database; undefined for a new or changed message. */
  const known = (message: WalRelation): Relation | undefined => {
    const cached = relations.get(message.oid)
    return cached !== undefined && cached.message === JSON.stringify(message) ? cached.relation : undefined
  }

  const resolve = Effect.fnUntraced(function*(message: WalRelation): Effect.fn.Return<Relation, PostgresError> {
    const cached = known(message)
    if (cached !== undefined) return cached
    yield* loadTypes(message.columns)
    const indexes = yield* sql.query<StoredIndex>(`Reading the key of ${TableName.format(message)}`, keyStatement, [message.oid])
    const relation: Relation = {
      oid: message.oid,
      schema: message.schema,
      table: message.table,
      replicaIdentity: message.replicaIdentity,
      columns: message.columns.map((column): Column => ({
        name: column.name,
        typeOid: column.typeOid,
        type: typeOf(types, column.typeOid, column.typeModifier)
      })),
      key: keyOf(message, indexes, relations.get(message.oid)?.relation)
    }
    relations.set(message.oid, { message: JSON.stringify(message), relation })
    return relation
  })

  /**
   * A table as pgoutput would announce it now; undefined if there is none. Generated columns are in only if published
   * (`publish_generated_columns = stored`, from Postgres 18 on), so that the snapshot has the columns of the stream.
   */
  const announce = Effect.fnUntraced(function*(name: TableName.TableName, generatedColumns: boolean) {
    const rows = yield* sql.query<StoredColumn>(`Reading the columns of ${TableName.format(name)}`, columnsStatement, [
      name.schema, name.table, generatedColumns ? ["", "s"] : [""]
    ])
    const [first] = rows
    if (first === undefined) return undefined
    const message: WalRelation = {
      _tag: "Relation",
      oid: first.oid,
      schema: name.schema,
      table: name.table,
      replicaIdentity: first.relreplident,
      columns: rows.filter((row) => row.attname !== null).map((row): WalColumn => ({
        name: row.attname!, typeOid: row.atttypid!, typeModifier: row.atttypmod!, partOfIdentity: row.in_identity
      }))
    }
    return { message, isPartitioned: first.relkind === "p" }
  })

  return { known, resolve, announce }
}

export type Catalogue = ReturnType<typeof make>

interface StoredType {
  readonly oid: number
  readonly typname: string
  readonly typtype: string
  readonly base: number
  readonly modifier: number
  /** 0 unless a real array: int2vector and its like also have `typelem`, but not an array's text. */
  readonly element: number
}

interface StoredIndex {
  readonly is_primary: boolean
  readonly columns: ReadonlyArray<string>
}

interface StoredColumn {
  readonly oid: number
  readonly relkind: string
  readonly relreplident: Relation["replicaIdentity"]
  readonly attname: string | null
  readonly atttypid: number | null
  readonly atttypmod: number | null
  readonly in_identity: boolean
}

const kinds: Readonly<Record<string, ColumnType["kind"]>> = {
  b: "base", e: "enum", r: "range", m: "multirange", c: "composite"
}

/** Walks domains down to their base type; the modifier of the outermost one that has any counts. */
const typeOf = (types: ReadonlyMap<number, StoredType>, oid: number, modifier: number): ColumnType => {
  const type = types.get(oid)
  if (type === undefined) return { name: "unknown", kind: "unknown", modifier }
  if (type.typtype === "d") return typeOf(types, type.base, modifier === -1 ? type.modifier : modifier)
  if (type.element !== 0) {
    return { name: type.typname, kind: "array", modifier, element: typeOf(types, type.element, modifier) }
  }
  return { name: type.typname, kind: kinds[type.typtype] ?? "unknown", modifier }
}

/**
 * The key, in its index's order: the primary key's; without one the replica identity's index, or under FULL the first unique
 * index by name that no NULL can be in (as Debezium's, whose index may have NULLs). The catalogue is of now, the message of
 * then: where they disagree (the key was changed in between) the message's identity counts, and under FULL, which has none,
 * the key known before.
 */
const keyOf = (
  message: WalRelation,
  indexes: ReadonlyArray<StoredIndex>,
  before: Relation | undefined
): ReadonlyArray<number> => {
  const position = new Map(message.columns.map((column, index) => [column.name, index]))
  const chosen = indexes[0]
  const flagged = message.columns.flatMap((column, index) => (column.partOfIdentity ? [index] : []))
  const fromCatalogue = chosen?.columns.map((name) => position.get(name))
  if (fromCatalogue !== undefined && fromCatalogue.every((index) => index !== undefined)) {
    const mustBeIdentity = message.replicaIdentity === "d" || (message.replicaIdentity === "i" && !chosen!.is_primary)
    const isIdentity = flagged.length === fromCatalogue.length && fromCatalogue.every((index) => flagged.includes(index))
    if (isIdentity || !mustBeIdentity) return fromCatalogue
  }
  if (message.replicaIdentity === "d" || message.replicaIdentity === "i") return flagged
  const remembered = before?.key.map((index) => position.get(before.columns[index]!.name)) ?? []
  return remembered.every((index) => index !== undefined) ? remembered : []
}

const typesStatement = `
  with recursive needed as (
    select unnest($1::oid[]) as oid
    union
    select case when t.typtype = 'd' then t.typbasetype else t.typelem end
    from needed join pg_type t on t.oid = needed.oid where t.typtype = 'd' or t.typelem <> 0)
  select t.oid, t.typname, t.typtype, t.typbasetype as base, t.typtypmod as modifier, coalesce(element.oid, 0) as element
  from needed join pg_type t on t.oid = needed.oid
  left join pg_type element on element.oid = t.typelem and element.typarray = t.oid`

/** What may be the key, the best first. An index of Postgres' own choice for REPLICA IDENTITY has the same conditions. */
const keyStatement = `
  select i.indisprimary as is_primary, array_agg(a.attname::text order by k.n) as columns
  from pg_index i
  join pg_class t on t.oid = i.indrelid
  join pg_class c on c.oid = i.indexrelid
  cross join unnest(i.indkey::int2[]) with ordinality as k (attnum, n)
  join pg_attribute a on a.attrelid = i.indrelid and a.attnum = k.attnum
  where i.indrelid = $1 and k.n <= i.indnkeyatts and (i.indisprimary or i.indisreplident
    or t.relreplident = 'f' and i.indisunique and i.indimmediate and i.indisvalid and i.indpred is null and i.indexprs is null)
  group by i.indexrelid, i.indisprimary, i.indisreplident, c.relname
  having bool_and(a.attnotnull)
  order by i.indisprimary desc, i.indisreplident desc, c.relname`

const columnsStatement = `
  select c.oid, c.relkind, c.relreplident, a.attname, a.atttypid, a.atttypmod,
    c.relreplident = 'f' or coalesce(a.attnum = any (i.indkey::int2[]), false) as in_identity
  from pg_class c
  join pg_namespace n on n.oid = c.relnamespace
  left join pg_index i on i.indrelid = c.oid
    and case c.relreplident when 'd' then i.indisprimary and i.indimmediate when 'i' then i.indisreplident else false end
  left join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped and a.attgenerated::text = any ($3::text[])
  where n.nspname = $1 and c.relname = $2 and c.relkind in ('r', 'p')
  order by a.attnum`
