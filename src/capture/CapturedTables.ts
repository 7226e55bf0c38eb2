import { Effect } from "effect"
import type { Sql } from "../connections/Postgres.ts"
import * as Lsn from "../domain/Lsn.ts"
import { readAgain, withoutKey } from "../domain/Remedy.ts"
import type { Relation } from "../domain/RowChange.ts"
import { quoteIdentifier } from "../domain/SqlIdentifier.ts"
import * as TableName from "../domain/TableName.ts"
import type { TopicIdentity } from "../domain/TopicIdentity.ts"
import type { TableIdentity, TableSighting } from "./TableSighting.ts"

/**
 * `captured`: nothing is missing; `gapped`: changes may be missing in the topic until a person has the table read again;
 * `mending`: that was asked for, and is under way.
 */
export type CapturedState = "captured" | "gapped" | "mending"

/** What capture remembers of a table, to compare with what it finds. */
export interface CapturedTable extends TableIdentity {
  readonly name: TableName.TableName
  /** null: not seen yet. */
  readonly topicId: string | null
  /** By partition: an offset that Kafka is known to have reached. */
  readonly ends: ReadonlyArray<bigint>
  readonly state: CapturedState
  /** Why it is not `captured`, for a person. */
  readonly gap: string | null
  /**
   * Changes whose commit lies before this are not published: the rows that a re-read found there, or will find, say what they came to.
   * `Lsn.last`: none is, until its re-read begins. undefined: every change is published.
   */
  readonly publishedFrom: Lsn.Lsn | undefined
  /** There is a request to read it again that is not finished. */
  readonly isRequested: boolean
}

/** A table that is not `captured`, for a person. */
export interface TableGap {
  /** As `TableName.format` writes it. */
  readonly table: string
  readonly why: string
  readonly remedy: string
}

/** undefined: nothing is missing. */
export const toGap = (
  { gap, isRequested, key, name, state }: Pick<CapturedTable, "gap" | "isRequested" | "key" | "name" | "state">
): TableGap | undefined => {
  const table = TableName.format(name)
  const remedy = key.length === 0 ? withoutKey(name) : readAgain(name)
  switch (state) {
    case "captured":
      return undefined
    case "gapped":
      return { table, why: gap!, remedy }
    case "mending":
      return isRequested
        ? { table, why: `${gap}; its rows are being read again`, remedy: "none: wait until they are" }
        : { table, why: `${gap}; reading its rows again has failed`, remedy }
  }
}

/** The table `captured_tables` of the state schema. Every function runs on the given connection or transaction. */
export const make = (stateSchema: string, slot: string) => {
  const schema = quoteIdentifier(stateSchema)
  const table = `${schema}.captured_tables`

  const createTable = (sql: Sql) =>
    sql.query("Creating the list of captured tables", `
      create table if not exists ${table} (
        slot text not null, table_name text not null, relation_oid oid not null, publication_rel_oid oid, publication_rel_xmin text,
        key_columns text[] not null, topic_id text, ends bigint[] not null default '{}',
        state text not null check (state in ('captured', 'gapped', 'mending')), gap text, gapped_at timestamptz,
        primary key (slot, table_name));
      alter table ${table} add column if not exists published_from pg_lsn`)

  /** By `TableName.format`. Needs the table of re-reads, too. */
  const load = Effect.fnUntraced(function*(sql: Sql) {
    const rows = yield* sql.query<StoredTable>("Reading what is remembered of the captured tables", `
      select table_name, relation_oid, publication_rel_oid, publication_rel_xmin, key_columns, topic_id, ends::text[] as ends, state, gap,
        published_from::text as published_from,
        exists (select from ${schema}.rereads r where r.slot = t.slot and r.table_name = t.table_name
          and r.state in ('waiting', 'reading', 'sweeping')) as is_requested
      from ${table} t where slot = $1`, [slot])
    return new Map(rows.map((row): [string, CapturedTable] => [row.table_name, fromRow(row)]))
  })

  /** From now on the table is the one seen; one that is `mending` is published again when its re-read begins. */
  const remember = (sql: Sql, name: TableName.TableName, seen: TableSighting, topic: TopicIdentity | undefined, state: CapturedState) =>
    sql.query(`Remembering ${TableName.format(name)}`, `
      insert into ${table} as t
        (slot, table_name, relation_oid, publication_rel_oid, publication_rel_xmin, key_columns, topic_id, ends, state, published_from)
      values ($1, $2, $3, $4, $5, $6, $7, $8::text[]::bigint[], $9, $10)
      on conflict (slot, table_name) do update set relation_oid = excluded.relation_oid, publication_rel_oid = excluded.publication_rel_oid,
        publication_rel_xmin = excluded.publication_rel_xmin, key_columns = excluded.key_columns, topic_id = excluded.topic_id,
        ends = excluded.ends, state = excluded.state, published_from = excluded.published_from,
        gap = case when excluded.state = 'captured' then null else t.gap end,
        gapped_at = case when excluded.state = 'captured' then null else t.gapped_at end`,
      [slot, TableName.format(name), seen.relationOid, seen.publicationRelOid, seen.publicationRelXmin, seen.key, topic?.id ?? null,
        (topic?.ends ?? []).map(String), state,
        state === "mending" ? Lsn.format(Lsn.last) : null])

  /** Before all tables are read again under a later epoch: then each is the one that is found, and has no gap. */
  const forget = (sql: Sql) => sql.query("Forgetting the captured tables", `delete from ${table} where slot = $1`, [slot])

  /**
   * Stays until the table is read again, whatever becomes of the cause. false: it is not remembered as `judged` any more, because
   * somebody has repaired it meanwhile.
   */
  const markGapped = (sql: Sql, judged: CapturedTable, gap: string) =>
    Effect.map(
      sql.query(`Marking ${TableName.format(judged.name)} as gapped`, `
        update ${table} set state = 'gapped', gap = $3, gapped_at = now()
        where slot = $1 and table_name = $2 and relation_oid = $4 and key_columns = $5 and topic_id is not distinct from $6
          and (publication_rel_oid, publication_rel_xmin) is not distinct from ($7::oid, $8::text)
        returning true`,
        [slot, TableName.format(judged.name), gap, judged.relationOid, judged.key, judged.topicId, judged.publicationRelOid, judged.publicationRelXmin]),
      (rows) => rows.length > 0
    )

  /** A change of the table could not be published: it has a gap, and none is published from now on. */
  const withhold = (sql: Sql, { key, columns, oid, ...name }: Relation, gap: string) =>
    sql.query(`Marking ${TableName.format(name)} as gapped`, `
      insert into ${table} (slot, table_name, relation_oid, key_columns, state, gap, gapped_at, published_from)
      values ($1, $2, $3, $4, 'gapped', $5, now(), $6)
      on conflict (slot, table_name) do update
      set state = excluded.state, gap = excluded.gap, gapped_at = excluded.gapped_at, published_from = excluded.published_from`,
      [slot, TableName.format(name), oid, key.map((place) => columns[place]!.name), gap, Lsn.format(Lsn.last)])

  /** The re-read of its gap begins there: what commits later is published again. false: that is not what is read again. */
  const publishFrom = (sql: Sql, name: TableName.TableName, from: Lsn.Lsn) =>
    Effect.map(
      sql.query(`Publishing ${TableName.format(name)} again`, `
        update ${table} set published_from = $3 where slot = $1 and table_name = $2 and state = 'mending' returning true`,
        [slot, TableName.format(name), Lsn.format(from)]),
      (rows) => rows.length > 0
    )

  /** Its rows are read again, and what was deleted is swept, as request `id` asked. A gap found meanwhile stays, and one that another request is for. */
  const mended = (sql: Sql, name: TableName.TableName, id: bigint) =>
    sql.query(`Ending the gap of ${TableName.format(name)}`, `
      update ${table} t set state = 'captured', gap = null, gapped_at = null
      where t.slot = $1 and t.table_name = $2 and t.state = 'mending' and not exists (
        select from ${schema}.rereads r where r.slot = t.slot and r.table_name = t.table_name and r.reason = 'gapped' and r.id > $3)`,
      [slot, TableName.format(name), id])

  /** Where the topics of these tables are known to have reached, by `TableName.format`. */
  const noteEnds = (sql: Sql, ends: ReadonlyMap<string, ReadonlyArray<bigint>>) =>
    sql.query("Remembering the topics' ends", `
      update ${table} t set ends = n.ends::bigint[] from unnest($2::text[], $3::text[]) as n (table_name, ends)
      where t.slot = $1 and t.table_name = n.table_name`,
      [slot, [...ends.keys()], [...ends.values()].map((offsets) => `{${offsets.join(",")}}`)])

  return { createTable, load, remember, forget, markGapped, withhold, publishFrom, mended, noteEnds }
}

export type CapturedTables = ReturnType<typeof make>

interface StoredTable {
  readonly table_name: string
  readonly relation_oid: number
  readonly publication_rel_oid: number | null
  readonly publication_rel_xmin: string | null
  readonly key_columns: ReadonlyArray<string>
  readonly topic_id: string | null
  readonly ends: ReadonlyArray<string>
  readonly state: CapturedState
  readonly gap: string | null
  readonly published_from: string | null
  readonly is_requested: boolean
}

const fromRow = (row: StoredTable): CapturedTable => ({
  name: TableName.parse(row.table_name),
  relationOid: row.relation_oid,
  publicationRelOid: row.publication_rel_oid,
  publicationRelXmin: row.publication_rel_xmin,
  key: row.key_columns,
  topicId: row.topic_id,
  ends: row.ends.map(BigInt),
  state: row.state,
  gap: row.gap,
  publishedFrom: row.published_from === null ? undefined : Lsn.parse(row.published_from),
  isRequested: row.is_requested
})
