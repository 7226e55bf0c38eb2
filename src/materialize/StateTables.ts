import { quoteIdentifier } from "../domain/SqlIdentifier.ts"

/** The quoted names of one generation of a pipeline's state tables, and of the tables that outlive generations. */
export interface StateTables {
  readonly entries: string
  readonly links: string
  readonly groups: string
  readonly bags: string
  readonly letters: string
  readonly pipelines: string
  readonly offsets: string
  readonly pending: string
  readonly managed: string
  readonly surrogates: string
  readonly unclaimed: string
  readonly unclaimedTo: string
  readonly announced: string
}

export const stateTables = (schema: string, pipeline: string, generation: number): StateTables => {
  const inSchema = (table: string) => `${quoteIdentifier(schema)}.${quoteIdentifier(table)}`
  const own = (table: string) => inSchema(`${pipeline.replaceAll("-", "_")}_${generation}_${table}`)
  return {
    entries: own("entries"),
    links: own("links"),
    groups: own("groups"),
    bags: own("bags"),
    letters: own("letters"),
    pipelines: inSchema("pipelines"),
    offsets: inSchema("offsets"),
    pending: inSchema("pending"),
    managed: inSchema("managed"),
    surrogates: inSchema("surrogates"),
    unclaimed: inSchema("unclaimed"),
    unclaimedTo: inSchema("unclaimed_to"),
    announced: inSchema("announced")
  }
}

/** Tables that every pipeline shares and that outlive replays. Idempotent. */
export const sharedDdl = (schema: string): ReadonlyArray<string> => {
  const inSchema = (table: string) => `${quoteIdentifier(schema)}.${quoteIdentifier(table)}`
  return [
    `create schema if not exists ${quoteIdentifier(schema)}`,
    `create table if not exists ${inSchema("pipelines")} (
      name text primary key,
      version int not null,
      settings_hash text not null,
      generation int not null,
      writes bigint not null default 0,       -- aggregate rows ever written; grows in the batch's own transaction
      applied bigint not null default 0,      -- changes ever applied
      dead_letters bigint not null default 0,
      last_applied_at timestamptz,
      last_commit_at timestamptz,             -- when the last applied change committed at its source
      checked_at timestamptz not null default now()) -- when the pipeline last stood at the ends of all its topics
      with (fillfactor = 50)`,
    `alter table ${inSchema("pipelines")}
      add column if not exists paused_why text,                -- by the breaker; holds while it is noted again each second
      add column if not exists paused_noted_at timestamptz,
      add column if not exists other_writes bigint not null default 0, -- rows found to be written by somebody else since
      add column if not exists records_per_second float8,       -- of a candidate while it is replayed
      add column if not exists accepted text`,                  // JSON by topic/partition: bad records before this offset pause nothing
    `create table if not exists ${inSchema("offsets")} (
      pipeline text, topic text, partition int,
      next_offset bigint not null,
      epoch int not null, commit_lsn bigint not null, ord bigint not null, -- position of the last record seen
      updated_at timestamptz not null default now(),
      primary key (pipeline, topic, partition)) with (fillfactor = 50)`,
    `create table if not exists ${inSchema("pending")} (
      pipeline text, target text, key text,
      since timestamptz not null default now(), -- not tried before
      primary key (pipeline, target, key))`,
    `alter table ${inSchema("pending")} add column if not exists rested boolean not null default false`, // its row is to be inserted even if it was there and is missing
    `create table if not exists ${inSchema("managed")} (
      pipeline text, target text, key text, primary key (pipeline, target, key))`,
    `create table if not exists ${inSchema("surrogates")} (
      pipeline text, source text, key text, id bigint not null, primary key (pipeline, source, key), unique (pipeline, id))`,
    `create table if not exists ${inSchema("unclaimed")} (        -- rows of a mirror's table that nobody managed when they were looked at
      pipeline text, hash bigint, id bigint, primary key (pipeline, hash, id))`,
    `create table if not exists ${inSchema("unclaimed_to")} (     -- how far the table's rows have been looked at
      pipeline text primary key, listed_to bigint not null default ${-(2n ** 63n)}) with (fillfactor = 50)`,
    `create table if not exists ${inSchema("announced")} (
      pipeline text, target text, key text collate "C",
      told text not null,                     -- JSON: the announced columns
      at timestamptz not null default now(),  -- when it was announced
      primary key (pipeline, target, key)) with (fillfactor = 70)`,
    `alter table ${inSchema("announced")}
      add column if not exists topic text,                      -- of the events that told of it; null: none did, it stood so from the beginning
      add column if not exists corrected boolean not null default false` // as its topic says, which differs from what was remembered
  ]
}

/** The state of one generation. Keys compare by their bytes, whatever the database's locale. Idempotent. */
export const generationDdl = (tables: StateTables): ReadonlyArray<string> => [
  `create table if not exists ${tables.entries} (
    source smallint not null,
    key text collate "C" not null,
    partition int not null,
    epoch int not null, commit_lsn bigint not null, ord bigint not null,
    value text not null,
    link text collate "C",
    phase smallint not null,
    group_key text collate "C",  -- with due_at: the group whose turn it is
    due_at bigint,               -- when it changes phase, µs since 1970
    primary key (source, key))`,
  `create index if not exists ${indexName(tables.entries, "link")} on ${tables.entries} (link) where link is not null`,
  `drop index if exists ${schemaOf(tables.entries)}.${indexName(tables.entries, "due")}`, // by the key's text: 32 bytes of WAL more per entry
  `create index if not exists ${indexName(tables.entries, "due_by_group")} on ${tables.entries} (${hashOf("group_key")}, due_at) where due_at is not null`,
  `create table if not exists ${tables.links} (
    key text collate "C" primary key, value text, partition int, epoch int, commit_lsn bigint, ord bigint)`,
  `create table if not exists ${tables.groups} (
    group_name text collate "C" not null, key text collate "C" not null,
    state text not null, evaluated_at bigint not null, wake_at bigint, managed boolean not null default false,
    primary key (group_name, key)) with (fillfactor = 70)`,
  `alter table ${tables.groups} add column if not exists standing text`, // JSON: how the announced column came to be as it is
  `create index if not exists ${indexName(tables.groups, "wake")} on ${tables.groups} (wake_at) where wake_at is not null`,
  `create table if not exists ${tables.bags} (
    group_name text collate "C" not null, key text collate "C" not null, bag text collate "C" not null,
    member text collate "C" not null, count int not null,
    primary key (group_name, key, bag, member))`,
  `create table if not exists ${tables.letters} (
    topic text collate "C", partition int, record_offset bigint, -- where the record came from
    key text collate "C",                                        -- null: not readable, or too long for the index
    reason text not null, message text not null,
    suspect boolean not null,
    set_aside_at timestamptz not null default clock_timestamp(),
    resolution text,                                             -- applied, superseded; null: open
    resolved_at timestamptz,
    primary key (topic, partition, record_offset))`,
  `create index if not exists ${indexName(tables.letters, "open")} on ${tables.letters} (topic, partition, key) where resolution is null`,
  `create index if not exists ${indexName(tables.letters, "resolved")} on ${tables.letters} (resolved_at) where resolution is not null`
]

/** SQL of what entries are found by when their group's time has come: a number, as keys are long. */
export const hashOf = (key: string): string => `hashtextextended(${key}, 0)`

const schemaOf = (quotedTable: string): string => quotedTable.slice(0, quotedTable.indexOf("."))

const indexName = (quotedTable: string, suffix: string): string =>
  quoteIdentifier(`${quotedTable.slice(quotedTable.indexOf(".") + 2, -1)}_${suffix}`)
