import { Effect } from "effect"
import type { PostgresError } from "../connections/PostgresError.ts"
import type { Sql } from "../connections/Postgres.ts"
import { isDeepStrictEqual } from "node:util"
import type { Column, ColumnType, Relation } from "../domain/RowChange.ts"
import * as TableName from "../domain/TableName.ts"
import type { WalColumn, WalRelation } from "./WalMessage.ts"

/**
 * Completes relations: pgoutput sends a table's name, columns, type OIDs and identity flags; the types' nature and the
 * key's order are only in the catalogue. Names and types are the message's, because the catalogue may already be ahead of it.
 * The server announces a relation when a session first has a row of it, and again after anything of it has changed: each time the
 * catalogue is asked, since a key may change without its columns.
 *
 * `rememberedKey`: a key's columns as they were when the table was last captured, for one that is gone by now.
 */
export const make = (sql: Sql, rememberedKey: (table: TableName.TableName) => ReadonlyArray<string> | undefined = () => undefined) => {
  const types = new Map<number, StoredType>()
  const relations = new Map<number, Relation>()

  const loadTypes = Effect.fnUntraced(function*(columns: ReadonlyArray<WalColumn>) {
    const missing = [...new Set(columns.map((column) => column.typeOid))].filter((oid) => !types.has(oid))
    if (missing.length === 0) return
    for (const row of yield* sql.query<StoredType>("Reading column types", typesStatement, [missing])) types.set(row.oid, row)
  })

  /** The catalogue may also be behind: a commit is streamed before others see it, and this one may have made the type or the key. */
  const lookUp = Effect.fnUntraced(function*(message: WalRelation, xid: number | undefined) {
    for (let waited = 0;; waited += visibilityPollMillis) {
      yield* loadTypes(message.columns)
      const indexes = yield* sql.query<StoredIndex>(`Reading the key of ${TableName.format(message)}`, keysOf("$1"), [message.oid])
      const isComplete = message.columns.every(({ typeOid }) => types.has(typeOid)) && (agreeing(message, indexes[0]) !== undefined || !hasIdentity(message))
      if (isComplete || xid === undefined || waited >= visibilityMaxMillis || !(yield* isRunning(sql, xid))) return indexes
      yield* Effect.sleep(visibilityPollMillis)
    }
  })

  /** `xid`: of the transaction in which the stream announces it. The same object as before, if it is described the same. */
  const resolve = Effect.fnUntraced(function*(message: WalRelation, xid?: number): Effect.fn.Return<Relation, PostgresError> {
    const before = relations.get(message.oid)
    const indexes = yield* lookUp(message, xid)
    const key = keyOf(message, indexes, before === undefined ? rememberedKey(message) : before.key.map((index) => before.columns[index]!.name))
    const relation: Relation = {
      oid: message.oid,
      schema: message.schema,
      table: message.table,
      replicaIdentity: message.replicaIdentity,
      sendsOldKey: key.every((place) => message.columns[place]!.partOfIdentity),
      columns: message.columns.map((column): Column => ({
        name: column.name,
        typeOid: column.typeOid,
        type: typeOf(types, column.typeOid, column.typeModifier)
      })),
      key
    }
    if (before !== undefined && isDeepStrictEqual(before, relation)) return before
    relations.set(message.oid, relation)
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

  return { resolve, announce }
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
 * then: where they disagree (the key was changed in between, the table is gone) the key known before counts, if by the message it
 * can be; else the message's identity, in table order.
 */
const keyOf = (
  message: WalRelation,
  indexes: ReadonlyArray<StoredIndex>,
  before: ReadonlyArray<string> | undefined
): ReadonlyArray<number> => {
  const remembered = before === undefined ? undefined : agreeing(message, { columns: before, is_primary: true })
  return agreeing(message, indexes[0]) ?? remembered ?? (hasIdentity(message) ? identityOf(message) : [])
}

/** Places of an index's columns, if by the message they can be the key. */
const agreeing = (message: WalRelation, index: StoredIndex | undefined): ReadonlyArray<number> | undefined => {
  const places = index?.columns.map((name) => message.columns.findIndex((column) => column.name === name))
  if (places === undefined || places.includes(-1)) return undefined
  const mustBeIdentity = message.replicaIdentity === "d" || (message.replicaIdentity === "i" && !index!.is_primary)
  const identity = identityOf(message)
  return !mustBeIdentity || (identity.length === places.length && places.every((place) => identity.includes(place))) ? places : undefined
}

/** FULL flags every column. */
const hasIdentity = ({ replicaIdentity }: WalRelation): boolean => replicaIdentity === "d" || replicaIdentity === "i"

const identityOf = (message: WalRelation): ReadonlyArray<number> =>
  message.columns.flatMap((column, place) => (column.partOfIdentity ? [place] : []))

/** As `materialize/Visibility.ts` has it, but for one: a standby that stays away must not stop the stream. */
const visibilityPollMillis = 20
const visibilityMaxMillis = 5_000

/** `xid` has 32 bits. */
const isRunning = (sql: Sql, xid: number) =>
  Effect.map(
    sql.query<{ running: boolean }>("Looking whether a transaction can be seen yet",
      "select exists (select from pg_snapshot_xip(pg_current_snapshot()) x where x::text::bigint & 4294967295 = $1) as running", [xid]),
    ([row]) => row!.running
  )

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
export const keysOf = (relationOid: string): string => `
  select i.indisprimary as is_primary, array_agg(a.attname::text order by k.n) as columns
  from pg_index i
  join pg_class t on t.oid = i.indrelid
  join pg_class c on c.oid = i.indexrelid
  cross join unnest(i.indkey::int2[]) with ordinality as k (attnum, n)
  join pg_attribute a on a.attrelid = i.indrelid and a.attnum = k.attnum
  where i.indrelid = ${relationOid} and k.n <= i.indnkeyatts and (i.indisprimary or i.indisreplident
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
