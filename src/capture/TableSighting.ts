import { Effect } from "effect"
import type { Sql } from "../connections/Postgres.ts"
import * as TableName from "../domain/TableName.ts"
import { keysOf } from "./Catalogue.ts"

/** What tells a table from another one of its name, and what is published of it from what was once. */
export interface TableIdentity {
  readonly relationOid: number
  /** null: it is published because all tables are, or all of its schema. */
  readonly publicationRelOid: number | null
  readonly publicationRelXmin: string | null
  /** Names of the record key's columns, in its order; empty: no key. */
  readonly key: ReadonlyArray<string>
}

/** What the catalogue says of a table now, as far as it decides whether its changes are published. */
export interface TableSighting extends TableIdentity {
  readonly isPublished: boolean
  readonly hasColumnList: boolean
  readonly hasRowFilter: boolean
}

/** Those of `names` that are there, by `TableName.format`. One query, cheap enough for every other second. */
export const read = Effect.fnUntraced(function*(sql: Sql, publication: string, names: ReadonlyArray<TableName.TableName>) {
  const rows = yield* sql.query<StoredSighting>("Looking at the captured tables", statement,
    [publication, names.map(({ schema }) => schema), names.map(({ table }) => table)])
  return new Map(rows.map(({ schema, table, ...sighting }): [string, TableSighting] => [TableName.format({ schema, table }), sighting]))
})

/**
 * Why changes of a table may be missing in its topic, in a person's words; undefined: it is the one remembered, and published.
 * A membership in the publication is known by its row, since one that was removed and put back was absent between.
 */
export const gapOf = (remembered: TableIdentity, seen: TableSighting | undefined, publication: string): string | undefined => {
  if (seen === undefined) return "the table is gone: dropped, renamed or moved to another schema (put it back, or take it out of source.tables)"
  if (seen.relationOid !== remembered.relationOid) return "the table was dropped and made again"
  if (!seen.isPublished) return `the table was taken out of publication ${publication}`
  if (seen.publicationRelOid !== remembered.publicationRelOid || seen.publicationRelXmin !== remembered.publicationRelXmin) {
    if (seen.hasRowFilter) return `publication ${publication} has a row filter for the table`
    if (seen.hasColumnList) return `publication ${publication} has a column list for the table`
    return `the table was taken out of publication ${publication} and put back`
  }
  if (seen.key.join() !== remembered.key.join()) {
    return `the table's key changed from (${remembered.key.join(", ")}) to (${seen.key.join(", ")}): what was published before is under the old one`
  }
  return undefined
}

interface StoredSighting extends TableSighting {
  readonly schema: string
  readonly table: string
}

const statement = `
  select n.nspname as schema, captured.relname as table, captured.oid as "relationOid",
    coalesce(p.puballtables, false) or r.oid is not null
      or exists (select from pg_publication_namespace s where s.pnpubid = p.oid and s.pnnspid = n.oid) as "isPublished",
    r.oid as "publicationRelOid", r.xmin::text as "publicationRelXmin",
    r.prattrs is not null as "hasColumnList", r.prqual is not null as "hasRowFilter",
    coalesce((select columns from (${keysOf("captured.oid")}) as keys limit 1), '{}') as key
  from unnest($2::text[], $3::text[]) as wanted (nspname, relname)
  join pg_namespace n using (nspname)
  join pg_class captured on captured.relnamespace = n.oid and captured.relname = wanted.relname and captured.relkind in ('r', 'p')
  left join pg_publication p on p.pubname = $1
  left join pg_publication_rel r on r.prpubid = p.oid and r.prrelid = captured.oid`
