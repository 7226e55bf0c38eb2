import { Effect } from "effect"
import type { Sql } from "../connections/Postgres.ts"
import { Lsn } from "../domain/Lsn.ts"
import type { Position } from "../domain/Position.ts"
import { hashOf, type StateTables } from "./StateTables.ts"

/** What state remembers of a source row. */
export interface StoredEntry {
  /** Index into the pipeline's sources. */
  readonly source: number
  readonly key: string
  readonly partition: number
  readonly position: Position
  readonly value: unknown
  readonly link: string | null
  readonly phase: number
  /** When it changes phase (µs), and in which group; null: never again. */
  readonly due: { readonly at: bigint; readonly groupKey: string } | null
}

interface EntryRow {
  source: number
  key: string
  partition: number
  epoch: number
  commit_lsn: bigint
  ord: bigint
  value: string
  link: string | null
  phase: number
  group_key: string | null
  due_at: bigint | null
}

/** Reads and writes entries, many at a time. */
export const makeEntryStore = (tables: StateTables) => {
  const written = "source, key, partition, epoch, commit_lsn, ord, value, link, phase, group_key, due_at"
  const columns = written.replace(/\w+/g, "e.$&")
  const read = (sql: Sql, statement: string, parameters: ReadonlyArray<unknown>) =>
    Effect.map(sql.query<EntryRow>("Reading entries", statement, parameters), (rows) => rows.map(ofRow))

  return {
    byKey: (sql: Sql, keys: ReadonlyArray<{ readonly source: number; readonly key: string }>) =>
      keys.length === 0 ? Effect.succeed<Array<StoredEntry>>([]) : read(
        sql,
        // Lateral, and closed to the planner by "offset 0": a look-up per key, where a join would read the whole of a table of some 100,000 rows.
        `select ${columns} from unnest($1::smallint[], $2::text[]) as k(source, key)
         cross join lateral (select * from ${tables.entries} e where e.source = k.source and e.key = k.key offset 0) e`,
        [keys.map((key) => key.source), keys.map((key) => key.key)]
      ),

    byLink: (sql: Sql, links: ReadonlyArray<string>) =>
      links.length === 0 ? Effect.succeed<Array<StoredEntry>>([]) : read(
        sql,
        `select ${columns} from ${tables.entries} e where e.link = any($1)`,
        [links]
      ),

    /** All entries, a page at a time, in the order of their keys. */
    after: (sql: Sql, last: { readonly source: number; readonly key: string }, limit: number) =>
      read(sql, `select ${columns} from ${tables.entries} e where (e.source, e.key) > ($1, $2) order by e.source, e.key limit $3`, [
        last.source,
        last.key,
        limit
      ]),

    /** Entries of these groups that change phase at or before each group's instant. */
    due: (sql: Sql, groups: ReadonlyArray<{ readonly key: string; readonly now: bigint }>) =>
      groups.length === 0 ? Effect.succeed<Array<StoredEntry>>([]) : read(
        sql,
        `select ${columns} from unnest($1::text[], $2::bigint[]) as g(key, now) join ${tables.entries} e
         on ${hashOf("e.group_key")} = ${hashOf("g.key")} and e.group_key = g.key and e.due_at <= g.now`,
        [groups.map((group) => group.key), groups.map((group) => group.now)]
      ),

    /** The first instant at which an entry of the group changes phase. */
    firstDue: (sql: Sql, groupKeys: ReadonlyArray<string>) =>
      groupKeys.length === 0 ? Effect.succeed([]) : sql.query<{ key: string; due_at: bigint | null }>(
        "Reading when entries are due",
        `select g.key, (select min(e.due_at) from ${tables.entries} e
           where ${hashOf("e.group_key")} = ${hashOf("g.key")} and e.group_key = g.key and e.due_at is not null) as due_at
         from unnest($1::text[]) as g(key)`,
        [groupKeys]
      ),

    /** Some of the entries last seen in a partition, at or before a position. */
    lastSeenIn: (sql: Sql, source: number, partition: number, upTo: Position, limit: number) =>
      read(
        sql,
        `select ${columns} from ${tables.entries} e
         where e.source = $1 and e.partition = $2 and (e.epoch, e.commit_lsn, e.ord) <= ($3::int, $4::bigint, $5::bigint) limit $6`,
        [source, partition, upTo.epoch, upTo.commitLsn, upTo.order, limit]
      ),

    /** Writes entries that are not there. The caller holds their partitions' offsets, so nobody else makes one meanwhile. */
    insert: (sql: Sql, entries: ReadonlyArray<StoredEntry>) =>
      entries.length === 0 ? Effect.void : sql.copy(
        "Inserting entries",
        `copy ${tables.entries} (${written}) from stdin`,
        entries.map(({ due, key, link, partition, phase, position: { commitLsn, epoch, order }, source, value }) =>
          [source, key, partition, epoch, commitLsn, order, JSON.stringify(value), link, phase, due?.groupKey ?? null, due?.at ?? null])
      ),

    /** Writes entries that are there, each found by its key: an UPDATE's join would read the whole of a table of some 100,000 rows. */
    update: (sql: Sql, entries: ReadonlyArray<StoredEntry>) =>
      entries.length === 0 ? Effect.void : sql.query(
        "Writing entries",
        `insert into ${tables.entries} as e (${written})
         select * from unnest($1::smallint[], $2::text[], $3::int[], $4::int[], $5::bigint[], $6::bigint[], $7::text[], $8::text[],
           $9::smallint[], $10::text[], $11::bigint[])
         on conflict (source, key) do update set partition = excluded.partition, epoch = excluded.epoch,
           commit_lsn = excluded.commit_lsn, ord = excluded.ord, value = excluded.value, link = excluded.link,
           phase = excluded.phase, group_key = excluded.group_key, due_at = excluded.due_at`,
        [
          entries.map((e) => e.source),
          entries.map((e) => e.key),
          entries.map((e) => e.partition),
          entries.map((e) => e.position.epoch),
          entries.map((e) => e.position.commitLsn),
          entries.map((e) => e.position.order),
          entries.map((e) => JSON.stringify(e.value)),
          entries.map((e) => e.link),
          entries.map((e) => e.phase),
          entries.map((e) => e.due?.groupKey ?? null),
          entries.map((e) => e.due?.at ?? null)
        ]
      ),

    remove: (sql: Sql, keys: ReadonlyArray<{ readonly source: number; readonly key: string }>) =>
      keys.length === 0 ? Effect.void : sql.query(
        "Removing entries",
        `delete from ${tables.entries} e using unnest($1::smallint[], $2::text[]) as k(source, key)
         where e.source = k.source and e.key = k.key`,
        [keys.map((key) => key.source), keys.map((key) => key.key)]
      )
  }
}

export type EntryStore = ReturnType<typeof makeEntryStore>

const ofRow = (row: EntryRow): StoredEntry => ({
  source: row.source,
  key: row.key,
  partition: row.partition,
  position: { epoch: row.epoch, commitLsn: Lsn(row.commit_lsn), order: Number(row.ord) },
  value: JSON.parse(row.value),
  link: row.link,
  phase: row.phase,
  due: row.due_at === null ? null : { at: row.due_at, groupKey: row.group_key! }
})
