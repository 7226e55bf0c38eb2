import { Effect } from "effect"
import type { Sql } from "../connections/Postgres.ts"
import type { PostgresError } from "../connections/PostgresError.ts"
import type { BadRecord } from "../domain/SourceChange.ts"
import type { StateTables } from "./StateTables.ts"

/** A record's place in its topic. All changes of a key are in one partition, so there their offsets are their order. */
export interface RecordPlace {
  readonly topic: string
  readonly partition: number
  readonly offset: bigint
}

/** A key that a record has told of. */
export interface Spoken extends RecordPlace {
  readonly key: string
}

/** What a letter can be: open; retried with success; or made void by a later change of its key, which was applied. */
export type Resolution = "open" | "applied" | "superseded"

export interface Letter extends RecordPlace {
  readonly key: string | null
  readonly reason: string
  readonly message: string
  /** Open, and what its row contributed before stays although the row has changed. */
  readonly isSuspect: boolean
  /** As Postgres prints it, in the session's time zone. */
  readonly setAsideAt: string
  readonly resolution: Resolution
}

export interface LetterFilter {
  readonly topic?: string
  readonly reason?: string
  readonly keys?: ReadonlyArray<string>
  readonly openOnly?: boolean
}

/** What is open, for whoever watches. */
export interface OpenLetters {
  readonly byReason: Readonly<Record<string, number>>
  /** Source rows that count as before a change that can't be read. */
  readonly suspectRows: number
}

interface LetterRow extends Omit<Letter, "offset"> {
  record_offset: bigint
}

/**
 * What a pipeline knows of its dead letters. A letter is open until a change of its key from further down the partition is
 * applied, in whose transaction it becomes `superseded`; so an open letter is its key's last word, and no position of a deleted
 * row need be kept to see it. Every function but `list` and `summary` wants its partitions' offsets locked by the caller.
 */
export const makeLetterStore = (tables: StateTables) => ({
  /** Notes letters in the transaction of the batch that they were in. */
  note: (sql: Sql, letters: ReadonlyArray<BadRecord>): Effect.Effect<unknown, PostgresError> =>
    letters.length === 0 ? Effect.void : sql.query(
      "Noting dead letters",
      `insert into ${tables.letters} as l (topic, partition, record_offset, key, reason, message, suspect)
       select * from unnest($1::text[], $2::int[], $3::bigint[], $4::text[], $5::text[], $6::text[], $7::boolean[])
       on conflict (topic, partition, record_offset) do update set reason = excluded.reason, message = excluded.message,
         suspect = excluded.suspect, resolution = null, resolved_at = null`,
      [
        ...placesOf(letters.map(({ record }) => record)),
        letters.map(({ key }) => key === null || key.length > maxKeyCharacters ? null : key),
        letters.map(({ why }) => why.reason),
        letters.map(({ why }) => why.message),
        letters.map(({ isSuspect }) => isSuspect)
      ]
    ),

  /** Those of these records that have a letter. */
  known: (sql: Sql, records: ReadonlyArray<BadRecord>): Effect.Effect<ReadonlyArray<BadRecord>, PostgresError> =>
    Effect.map(
      sql.query<{ n: bigint }>(
        "Looking for dead letters",
        `select n from unnest($1::text[], $2::int[], $3::bigint[]) with ordinality as u(topic, partition, record_offset, n)
         join ${tables.letters} using (topic, partition, record_offset)`,
        placesOf(records.map(({ record }) => record))
      ),
      (found) => found.map(({ n }) => records[Number(n) - 1]!)
    ),

  /** Closes the letters that later changes have made void. `spoken` is asked for only if a letter is open: it is long. */
  supersede: Effect.fnUntraced(function*(sql: Sql, spoken: () => ReadonlyArray<Spoken>): Effect.fn.Return<void, PostgresError> {
    const [row] = yield* sql.query<{ any: boolean }>("Looking for open letters", `select exists (select from ${tables.letters} where resolution is null) as any`)
    if (!row!.any) return
    const keys = spoken()
    yield* sql.query(
      "Closing superseded letters",
      `update ${tables.letters} l set resolution = 'superseded', resolved_at = clock_timestamp()
       from (select topic, partition, key, max(record_offset) as record_offset
             from unnest($1::text[], $2::int[], $3::bigint[], $4::text[]) as n(topic, partition, record_offset, key) group by 1, 2, 3) n
       where l.resolution is null and l.topic = n.topic and l.partition = n.partition and l.key = n.key and l.record_offset < n.record_offset`,
      [...placesOf(keys), keys.map(({ key }) => key)]
    )
  }),

  /** A TRUNCATE is the last word on all rows of its partition. */
  supersedeAll: (sql: Sql, { offset, partition, topic }: RecordPlace) =>
    sql.query(
      "Closing superseded letters",
      `update ${tables.letters} set resolution = 'superseded', resolved_at = clock_timestamp()
       where resolution is null and topic = $1 and partition = $2 and record_offset < $3`,
      [topic, partition, offset]
    ),

  /** Those of these letters that are still open: their keys by offset. */
  open: (sql: Sql, topic: string, partition: number, offsets: ReadonlyArray<bigint>): Effect.Effect<Map<bigint, string | null>, PostgresError> =>
    Effect.map(
      sql.query<{ record_offset: bigint; key: string | null }>(
        "Reading open letters",
        `select record_offset, key from ${tables.letters} where topic = $1 and partition = $2 and record_offset = any ($3) and resolution is null`,
        [topic, partition, offsets]
      ),
      (rows) => new Map(rows.map((row) => [row.record_offset, row.key]))
    ),

  applied: (sql: Sql, topic: string, partition: number, offsets: ReadonlyArray<bigint>) =>
    sql.query(
      "Closing applied letters",
      `update ${tables.letters} set resolution = 'applied', resolved_at = clock_timestamp()
       where topic = $1 and partition = $2 and record_offset = any ($3) and resolution is null`,
      [topic, partition, offsets]
    ),

  /** Gives letters that were retried in vain the reason that they have now. */
  refused: (sql: Sql, letters: ReadonlyArray<Pick<BadRecord, "record" | "why">>): Effect.Effect<unknown, PostgresError> =>
    letters.length === 0 ? Effect.void : sql.query(
      "Noting why letters were refused again",
      `update ${tables.letters} l set reason = n.reason, message = n.message
       from unnest($1::text[], $2::int[], $3::bigint[], $4::text[], $5::text[]) as n(topic, partition, record_offset, reason, message)
       where (l.topic, l.partition, l.record_offset) = (n.topic, n.partition, n.record_offset) and l.resolution is null`,
      [...placesOf(letters.map(({ record }) => record)), letters.map(({ why }) => why.reason), letters.map(({ why }) => why.message)]
    ),

  openLetters: (sql: Sql): Effect.Effect<OpenLetters, PostgresError> =>
    Effect.map(
      sql.query<{ reasons: Readonly<Record<string, number>> | null; suspectRows: bigint }>(
        "Counting open dead letters",
        `with open as materialized (select reason, suspect, topic, partition, coalesce(key, record_offset::text) as row from ${tables.letters} where resolution is null)
         select (select jsonb_object_agg(reason, n) from (select reason, count(*) as n from open group by reason) r) as reasons,
           (select count(distinct (topic, partition, row)) from open where suspect) as "suspectRows"`
      ),
      ([row]) => ({ byReason: row!.reasons ?? {}, suspectRows: Number(row!.suspectRows) })
    ),

  /** Forgets some letters that were resolved so long ago; says how many. Open ones stay, though their record may be gone. */
  prune: (sql: Sql, hours: number): Effect.Effect<number, PostgresError> =>
    Effect.map(
      sql.query(
        "Forgetting resolved dead letters",
        `delete from ${tables.letters} where ctid = any (array(select ctid from ${tables.letters}
           where resolution is not null and resolved_at < clock_timestamp() - $1 * interval '1 hour' limit ${prunedAtOnce} for update skip locked)) returning 1`,
        [hours]
      ),
      (rows) => rows.length
    ),

  /** Per reason. */
  counts: (sql: Sql, filter: LetterFilter) =>
    Effect.map(
      sql.query<{ reason: string; open: bigint; suspectRows: bigint; applied: bigint; superseded: bigint }>(
        "Counting dead letters",
        `select reason, count(*) filter (where resolution is null) as open,
           count(distinct (topic, partition, coalesce(key, record_offset::text))) filter (where resolution is null and suspect) as "suspectRows",
           count(*) filter (where resolution = 'applied') as applied, count(*) filter (where resolution = 'superseded') as superseded
         from ${tables.letters} where ${condition} group by reason order by reason`,
        conditionParameters(filter)
      ),
      (rows) => rows.map(({ applied, open, reason, superseded, suspectRows }) =>
        ({ reason, open: Number(open), suspectRows: Number(suspectRows), applied: Number(applied), superseded: Number(superseded) }))
    ),

  /** Open ones first, then the latest. */
  list: (sql: Sql, filter: LetterFilter, limit: number): Effect.Effect<ReadonlyArray<Letter>, PostgresError> =>
    Effect.map(
      sql.query<LetterRow>(
        "Listing dead letters",
        `select topic, partition, record_offset, key, reason, message, suspect and resolution is null as "isSuspect",
           set_aside_at as "setAsideAt", coalesce(resolution, 'open') as resolution
         from ${tables.letters}
         where ${condition} order by resolution is not null, set_aside_at desc, topic, partition, record_offset limit $5`,
        [...conditionParameters(filter), limit]
      ),
      (rows) => rows.map(({ record_offset, ...row }) => ({ ...row, offset: record_offset }))
    )
})

const condition = `($1::text is null or topic = $1) and ($2::text is null or reason = $2) and ($3::text[] is null or key = any ($3))
  and (not $4::boolean or resolution is null)`
const conditionParameters = (filter: LetterFilter) =>
  [filter.topic ?? null, filter.reason ?? null, filter.keys ?? null, filter.openOnly ?? false] as const

/** So that a transaction stays short. */
export const prunedAtOnce = 1_000

/** A btree's row holds 2,704 bytes; a character has up to 4. */
const maxKeyCharacters = 600

const placesOf = (places: ReadonlyArray<RecordPlace>) =>
  [places.map(({ topic }) => topic), places.map(({ partition }) => partition), places.map(({ offset }) => offset)] as const
