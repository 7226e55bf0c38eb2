import { Effect } from "effect"
import type { Sql } from "../connections/Postgres.ts"
import type { PostgresError } from "../connections/PostgresError.ts"
import type { BadRecord, PartitionBatch, RawRecord, SourceChange } from "../domain/SourceChange.ts"
import { type Breaker, judge, type Tripped } from "./Breaker.ts"
import { partitionId } from "./Checkpoint.ts"
import { PipelineError } from "./PipelineError.ts"
import type { StateTables } from "./StateTables.ts"

/** By `topic/partition`: bad records before this offset have been accepted by a person, and pause nothing. */
export type Accepted = ReadonlyMap<string, bigint>

/**
 * What the breaker and the people who reset it tell each other through Postgres, whichever processes they are in. A pause holds
 * for as long as it is noted again and again; acceptance is of offsets, so it covers nothing that is written after it.
 */
export const makePause = (tables: StateTables, generation: string) => ({
  /** Says why the pipeline stands still; answers with what is accepted. */
  note: (sql: Sql, why: string): Effect.Effect<Accepted, PostgresError> =>
    Effect.map(
      sql.query<{ accepted: string | null }>(
        "Noting the pause",
        `update ${tables.pipelines} set paused_why = $2, paused_noted_at = clock_timestamp() where name = $1 returning accepted`,
        [generation, why]
      ),
      ([row]) => parse(row?.accepted ?? null)
    ),

  /** It goes on; where another instance stands still yet, that one notes it again. */
  over: (sql: Sql): Effect.Effect<void, PostgresError> =>
    Effect.asVoid(sql.query("Noting the pause's end", `update ${tables.pipelines} set paused_why = null, paused_noted_at = null where name = $1`, [generation])),

  accepted: (sql: Sql): Effect.Effect<Accepted, PostgresError> =>
    Effect.map(
      sql.query<{ accepted: string | null }>("Reading what is accepted", `select accepted from ${tables.pipelines} where name = $1`, [generation]),
      ([row]) => parse(row?.accepted ?? null)
    ),

  /** Accepts whatever is before these offsets, for a candidate of the pipeline, too. false: there is no such pipeline yet. */
  accept: (sql: Sql, ends: Accepted): Effect.Effect<boolean, PostgresError> =>
    Effect.map(
      sql.query(
        "Accepting bad records",
        `update ${tables.pipelines} set accepted = $2, paused_noted_at = null where split_part(name, '@', 1) = $1 returning true`,
        [generation, JSON.stringify(Object.fromEntries([...ends].map(([id, offset]) => [id, String(offset)])))]
      ),
      (rows) => rows.length > 0
    )
})

const parse = (accepted: string | null): Accepted =>
  new Map(Object.entries(JSON.parse(accepted ?? "{}") as Record<string, string>).map(([id, offset]) => [id, BigInt(offset)]))

/** Whether a person has accepted more than was known. */
export const hasMore = (known: Accepted, now: Accepted): boolean =>
  [...now].some(([id, offset]) => offset > (known.get(id) ?? 0n))

/**
 * Lets a batch's bad records pass, or fails with `paused` before any of them is moved. Returns what the breaker is to remember of it
 * once it has committed.
 */
export const admit = Effect.fnUntraced(function*(
  sql: Sql,
  pipeline: string,
  pause: ReturnType<typeof makePause>,
  breaker: Breaker,
  records: ReadonlyArray<RawRecord>,
  bad: ReadonlyArray<BadRecord>
): Effect.fn.Return<ReadonlyArray<boolean>, PostgresError | PipelineError> {
  const isBad = new Set(bad.map(({ record }) => record))
  const all = records.map((record) => isBad.has(record))
  if (judge(breaker.settings, breaker.recent, all) === undefined) return all
  const accepted = yield* pause.accepted(sql)
  const isAccepted = (record: RawRecord) => record.offset < (accepted.get(partitionId(record)) ?? 0n)
  const left = records.filter((record) => !(isBad.has(record) && isAccepted(record))).map((record) => isBad.has(record))
  const tripped = judge(breaker.settings, breaker.recent, left)
  if (tripped === undefined) return left
  return yield* new PipelineError({ reason: "paused", pipeline, message: whyOf(pipeline, tripped, bad) })
})

/** What a batch has of records that count, in their order. */
export const recordsOf = ({ unreadable }: PartitionBatch, changes: ReadonlyArray<SourceChange>): ReadonlyArray<RawRecord> =>
  unreadable.length === 0
    ? changes.map(({ record }) => record)
    : [...changes, ...unreadable].map(({ record }) => record).sort((a, b) => (a.offset < b.offset ? -1 : 1))

const whyOf = (pipeline: string, { bad: count, of }: Tripped, bad: ReadonlyArray<BadRecord>): string => {
  const { partition, offset, topic } = bad[0]!.record
  const reasons = [...Map.groupBy(bad, ({ why }) => why.reason)].map(([reason, ofReason]) => [reason, ofReason.length] as const)
  const listed = reasons.sort(([, a], [, b]) => b - a).map(([reason, count]) => `${reason} ${count}`).join(", ")
  return `Pipeline ${pipeline} is paused: ${count} of the last ${of} records can't be used (in this batch: ${listed}; first ${topic}/${partition} `
    + `offset ${offset}), and nothing of this batch is applied or moved to the dead letters. If the fault is in this program or its settings, mend them `
    + `and restart it; if it is in the records, \`cdc dead-letters accept ${pipeline}\` moves those that are there and goes on `
    + "(limit: pipelines.deadLetterBreaker)"
}
