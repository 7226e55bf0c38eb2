import { Effect } from "effect"
import * as CapturedTables from "../capture/CapturedTables.ts"
import * as Rereads from "../capture/Rereads.ts"
import * as SnapshotTables from "../capture/SnapshotTables.ts"
import type { AppConfig } from "../Config.ts"
import type { Kafka } from "../connections/Kafka.ts"
import { KafkaError } from "../connections/KafkaError.ts"
import type { Sql } from "../connections/Postgres.ts"
import type { PostgresError } from "../connections/PostgresError.ts"
import * as Lsn from "../domain/Lsn.ts"
import { quoteIdentifier } from "../domain/SqlIdentifier.ts"
import * as TableName from "../domain/TableName.ts"
import * as TopicName from "../domain/TopicName.ts"
import { partitionId } from "../materialize/Checkpoint.ts"
import { pipelineOf } from "../materialize/Generation.ts"
import { makeLetterStore, type OpenLetters } from "../materialize/LetterStore.ts"
import { stateTables } from "../materialize/StateTables.ts"
import * as Topics from "../publish/Topics.ts"

/** What Postgres and Kafka say of the system at about one instant; `SystemStatus.ts` makes sense of it. */
export interface SystemReading {
  /** The database's clock, µs since 1970. */
  readonly now: bigint
  readonly wal: WalReading
  readonly capture: CaptureRow | undefined
  readonly snapshotTables: ReadonlyArray<SnapshotTables.SnapshotTable>
  readonly rereads: ReadonlyArray<Rereads.Reread>
  /** Of tables that were ever captured. */
  readonly gaps: ReadonlyArray<CapturedTables.TableGap>
  /** Of `kafka.eventTopics`, by the topics' names. */
  readonly missingEventTopics: ReadonlyArray<string>
  readonly pipelines: ReadonlyArray<PipelineRow>
  readonly offsets: ReadonlyArray<OffsetRow>
  readonly pending: ReadonlyMap<string, number>
  /** Of pipelines that have set anything aside. */
  readonly letters: ReadonlyMap<string, OpenLetters>
  readonly ends: EndOffsets
  /** Members of each pipeline's consumer group. */
  readonly members: ReadonlyMap<string, number>
}

export interface WalReading {
  readonly now: bigint
  readonly current: Lsn.Lsn
  readonly slot: SlotRow | undefined
}

export interface SlotRow {
  readonly active: boolean
  readonly walStatus: string
  readonly confirmed: Lsn.Lsn
  /** undefined: the slot is lost and keeps nothing. */
  readonly restart: Lsn.Lsn | undefined
}

export interface CaptureRow {
  readonly snapshot: "pending" | "reading" | "done"
  /** µs since 1970; null: nothing published yet. */
  readonly lastCommitAt: bigint | null
  /** Records that were too large for their topic. */
  readonly deadLetters: bigint
  /** Of the first snapshot, over some seconds; null: not begun. */
  readonly snapshotRowsPerSecond: number | null
  /** When that was noted, µs since 1970; null: not begun. */
  readonly snapshotNotedAt: bigint | null
}

export interface PipelineRow {
  readonly name: string
  readonly generation: number
  readonly writes: bigint
  readonly applied: bigint
  readonly dead_letters: bigint
  readonly other_writes: bigint
  /** µs since 1970; null: nothing applied yet. */
  readonly last_commit_at: bigint | null
  /** When an instance last said that it is paused, µs since 1970; null: none. */
  readonly paused_noted_at: bigint | null
  /** Of the last pause, over or not. */
  readonly paused_why: string | null
  /** Of a candidate that is replayed, as last noted; null: not known. */
  readonly records_per_second: number | null
}

/** Of a pipeline's generation, live or candidate. */
export interface OffsetRow {
  readonly pipeline: string
  readonly topic: string
  readonly partition: number
  readonly next_offset: bigint
}

/** By `topic/partition`: the first offset that is still there, and the one that the next record will have. */
export type EndOffsets = ReadonlyMap<string, { readonly low: bigint; readonly high: bigint }>

/** The questions to Postgres, for one slot and state schema. What `setup` has not made yet reads as empty. */
export const questions = (sql: Sql, stateSchema: string, slot: string) => {
  const table = (name: string) => `${quoteIdentifier(stateSchema)}.${quoteIdentifier(name)}`
  const micros = (instant: string) => `(extract(epoch from ${instant}) * 1000000)::bigint`
  const ifThere = <Row>(rows: Effect.Effect<ReadonlyArray<Row>, PostgresError>): Effect.Effect<ReadonlyArray<Row>, PostgresError> =>
    Effect.catchIf(rows, (error) => error.code === undefinedTable, () => Effect.succeed([]))
  const rowsOf = <Row extends object>(doing: string, statement: string, parameters: ReadonlyArray<unknown> = []): Effect.Effect<ReadonlyArray<Row>, PostgresError> =>
    ifThere(sql.query<Row>(doing, statement, parameters))

  return {
    rereads: Rereads.make(stateSchema, slot).list(sql),

    gaps: ifThere(Effect.map(CapturedTables.make(stateSchema, slot).load(sql), (tables) =>
      [...tables.values()].map(CapturedTables.toGap).filter((gap) => gap !== undefined))),

    wal: Effect.map(
      sql.query<StoredWal>(
        "Reading the replication slot",
        `select ${micros("clock_timestamp()")} as now, pg_current_wal_insert_lsn()::text as current, slot_name is not null as there,
           active, wal_status, confirmed_flush_lsn::text as confirmed, restart_lsn::text as restart
         from (select) as always left join pg_replication_slots on slot_name = $1`,
        [slot]
      ),
      ([row]) => walOf(row!)
    ),

    capture: Effect.map(
      rowsOf<CaptureRow>(
        "Reading capture's state",
        `select snapshot, ${micros("last_commit_at")} as "lastCommitAt", coalesce((to_jsonb(c) ->> 'dead_letters')::bigint, 0) as "deadLetters",
           (to_jsonb(c) ->> 'snapshot_rows_per_second')::float8 as "snapshotRowsPerSecond",
           ${micros("(to_jsonb(c) ->> 'snapshot_noted_at')::timestamptz")} as "snapshotNotedAt" from ${table("capture")} c where slot = $1`,
        [slot]
      ),
      ([row]) => row
    ),

    snapshotTables: ifThere(SnapshotTables.make(stateSchema, slot).list(sql)),

    /** Whether one of these tables is being read again, or will be. */
    isRereading: (tables: ReadonlyArray<TableName.TableName>) =>
      Effect.map(
        rowsOf<{ there: boolean }>(
          "Looking for re-reads",
          `select exists (select from ${table("rereads")} where slot = $1 and table_name = any ($2) and state in ('waiting', 'reading', 'sweeping')) as there`,
          [slot, tables.map(TableName.format)]
        ),
        ([row]) => row?.there === true
      ),

    pipelines: rowsOf<PipelineRow>(
      "Reading the pipelines' progress",
      `select name, writes, applied, dead_letters, coalesce((to_jsonb(p) ->> 'other_writes')::bigint, 0) as other_writes, ${micros("last_commit_at")} as last_commit_at,
         ${micros("(to_jsonb(p) ->> 'paused_noted_at')::timestamptz")} as paused_noted_at, to_jsonb(p) ->> 'paused_why' as paused_why, generation,
         (to_jsonb(p) ->> 'records_per_second')::float8 as records_per_second from ${table("pipelines")} p order by generation`
    ),

    /** Of all their generations. */
    offsets: (pipelines: ReadonlyArray<string>) =>
      rowsOf<OffsetRow>(
        "Reading the pipelines' offsets",
        `select pipeline, topic, partition, next_offset from ${table("offsets")} where split_part(pipeline, '@', 1) = any($1)`,
        [pipelines]
      ),

    letters: (pipelines: ReadonlyArray<PipelineRow>): Effect.Effect<ReadonlyMap<string, OpenLetters>, PostgresError> =>
      Effect.map(
        Effect.forEach(pipelines.filter(({ dead_letters }) => dead_letters > 0n), ({ generation, name }) =>
          ifThere(Effect.map(makeLetterStore(stateTables(stateSchema, pipelineOf(name), generation)).openLetters(sql), (letters) => [[name, letters] as const]))),
        (found) => new Map(found.flat())
      ),

    pending: (pipelines: ReadonlyArray<string>) =>
      Effect.map(
        rowsOf<{ pipeline: string; keys: bigint }>(
          "Counting the keys to be tried again",
          `select pipeline, count(*) as keys from ${table("pending")} where pipeline = any($1) group by pipeline`,
          [pipelines]
        ),
        (rows): ReadonlyMap<string, number> => new Map(rows.map((row) => [row.pipeline, Number(row.keys)]))
      )
  }
}

/** The questions to Kafka. Topics are asked about side by side. */
export const kafkaQuestions = (kafka: Kafka["Service"], settings: AppConfig["Service"]) => ({
  ends: (offsets: ReadonlyArray<OffsetRow>): Effect.Effect<EndOffsets, KafkaError> => {
    const topics = [...new Set(offsets.map((row) => row.topic))]
    return Effect.map(
      kafka.admin("Reading the topics' end offsets", (admin) =>
        Promise.all(topics.map(async (topic) => ({ topic, partitions: await admin.fetchTopicOffsets(topic) })))),
      (ends) =>
        new Map(ends.flatMap(({ partitions, topic }) =>
          partitions.map(({ high, low, partition }) =>
            [partitionId({ topic, partition }), { low: BigInt(low), high: BigInt(high) }] as const)
        ))
    )
  },

  missingEventTopics: Effect.suspend(() => {
    const topics = Topics.ofEvents(settings.kafka).map(({ topic }) => topic)
    if (topics.length === 0) return Effect.succeed([])
    return Effect.map(kafka.admin("Looking for the topics of events", (admin) => admin.listTopics()), (there) => topics.filter((topic) => !there.includes(topic)))
  }),

  members: (pipelines: ReadonlyArray<string>): Effect.Effect<ReadonlyMap<string, number>, KafkaError> => {
    const byGroup = new Map(pipelines.map((name) => [TopicName.groupOfPipeline(settings.kafka.topicPrefix, name), name]))
    return Effect.map(
      kafka.admin("Asking who runs the pipelines", (admin) => admin.describeGroups([...byGroup.keys()])),
      ({ groups }) => new Map(groups.map((group) => [byGroup.get(group.groupId) ?? group.groupId, group.members.length]))
    )
  }
})

export type ReadFailure = PostgresError | KafkaError

/** SQLSTATE of a missing table, also when its schema is missing. Source: Postgres manual, appendix A. */
const undefinedTable = "42P01"

interface StoredWal {
  readonly now: bigint
  readonly current: string
  readonly there: boolean
  readonly active: boolean
  readonly wal_status: string | null
  readonly confirmed: string | null
  readonly restart: string | null
}

const walOf = (row: StoredWal): WalReading => ({
  now: row.now,
  current: Lsn.parse(row.current),
  slot: !row.there ? undefined : {
    active: row.active,
    walStatus: row.wal_status ?? "lost",
    confirmed: row.confirmed === null ? Lsn.zero : Lsn.parse(row.confirmed),
    restart: row.restart === null ? undefined : Lsn.parse(row.restart)
  }
})
