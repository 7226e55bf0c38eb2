import { Effect } from "effect"
import type { Sql } from "../connections/Postgres.ts"
import type { PostgresError } from "../connections/PostgresError.ts"
import { Lsn } from "../domain/Lsn.ts"
import { isAfter, type Position } from "../domain/Position.ts"
import type { PartitionBatch, SourceChange } from "../domain/SourceChange.ts"
import { pipelineOf } from "./Generation.ts"
import { PipelineError } from "./PipelineError.ts"
import type { StateTables } from "./StateTables.ts"

/** Where a pipeline stands in one partition: the next offset to read, and the position of the last record it saw. */
export interface PartitionCheckpoint {
  readonly topic: string
  readonly partition: number
  readonly nextOffset: bigint
  readonly position: Position
}

const beginning: Position = { epoch: 0, commitLsn: Lsn(0n), order: 0 }

interface OffsetRow {
  topic: string
  partition: number
  next_offset: bigint
  epoch: number
  commit_lsn: bigint
  ord: bigint
}

/**
 * The offsets of a pipeline's generation, by its name, kept in Postgres beside what they brought about. The claim is the
 * compare-and-set that makes aggregates exactly-once: whoever else applied these records has moved the offset, and the claim fails.
 */
export const makeCheckpoint = (tables: StateTables, reader: string) => {
  const pipeline = pipelineOf(reader)
  const read = (sql: Sql, condition: string, parameters: ReadonlyArray<unknown>) =>
    Effect.map(
      sql.query<OffsetRow>(
        "Reading offsets",
        `select o.topic, o.partition, o.next_offset, o.epoch, o.commit_lsn, o.ord from ${tables.offsets} o ${condition}`,
        parameters
      ),
      (rows) => rows.map(ofRow)
    )

  return {
    all: (sql: Sql) => read(sql, "where o.pipeline = $1", [reader]),

    /** Makes partitions known that were never read, so that lag and `caughtUp` count them from the start. */
    register: (sql: Sql, partitions: ReadonlyArray<{ readonly topic: string; readonly partition: number; readonly nextOffset?: bigint }>) =>
      sql.query(
        "Registering partitions",
        `insert into ${tables.offsets} (pipeline, topic, partition, next_offset, epoch, commit_lsn, ord)
         select $1, t, p, o, 0, 0, 0 from unnest($2::text[], $3::int[], $4::bigint[]) as n(t, p, o) on conflict do nothing`,
        [reader, partitions.map((p) => p.topic), partitions.map((p) => p.partition), partitions.map((p) => p.nextOffset ?? 0n)]
      ),

    /**
     * Locks the partitions' offsets, in one order, and checks that they stand where these batches begin.
     * Fails with `superseded` if another instance has moved one.
     */
    claim: Effect.fnUntraced(function*(
      sql: Sql,
      batches: ReadonlyArray<PartitionBatch & { readonly fromOffset: bigint }>
    ): Effect.fn.Return<Map<string, PartitionCheckpoint>, PostgresError | PipelineError> {
      const held = yield* read(
        sql,
        `join unnest($2::text[], $3::int[]) as n(topic, partition) using (topic, partition)
         where o.pipeline = $1 order by o.topic, o.partition for no key update of o`,
        [reader, batches.map((b) => b.topic), batches.map((b) => b.partition)]
      )
      const checkpoints = new Map(held.map((checkpoint) => [partitionId(checkpoint), checkpoint]))
      for (const batch of batches) {
        const at = checkpoints.get(partitionId(batch))?.nextOffset
        if (at !== batch.fromOffset) {
          return yield* new PipelineError({
            reason: "superseded",
            pipeline,
            message: `Pipeline ${pipeline}: ${batch.topic}/${batch.partition} was read from offset ${batch.fromOffset}, but its checkpoint `
              + `stands at ${at ?? "nothing"}: another instance applied these records; reading again from there`
          })
        }
      }
      return checkpoints
    }),

    /** Over offsets that hold no records. false: another instance has moved it. */
    skip: (sql: Sql, { partition, topic }: { readonly topic: string; readonly partition: number }, fromOffset: bigint, nextOffset: bigint) =>
      Effect.map(
        sql.query(
          "Skipping offsets without records",
          `update ${tables.offsets} set next_offset = $5, updated_at = now()
           where pipeline = $1 and topic = $2 and partition = $3 and next_offset = $4 returning true`,
          [reader, topic, partition, fromOffset, nextOffset]
        ),
        (moved) => moved.length > 0
      ),

    /** Keeps every partition where it stands until the transaction ends, so that no entry changes meanwhile. Claims wait, retries do not. */
    hold: (sql: Sql) =>
      sql.query("Holding offsets", `select from ${tables.offsets} o where o.pipeline = $1 order by o.topic, o.partition for share`, [reader]),

    /** Locks one partition's offsets against batches: what was applied of its keys stays so until the transaction ends. */
    lock: (sql: Sql, { partition, topic }: { readonly topic: string; readonly partition: number }) =>
      sql.query(
        "Locking offsets",
        `select from ${tables.offsets} where pipeline = $1 and topic = $2 and partition = $3 for no key update`,
        [reader, topic, partition]
      ),

    advance: (sql: Sql, checkpoints: ReadonlyArray<PartitionCheckpoint>) =>
      sql.query(
        "Advancing offsets",
        `update ${tables.offsets} o set next_offset = n.next_offset, epoch = n.epoch, commit_lsn = n.commit_lsn, ord = n.ord, updated_at = now()
         from unnest($2::text[], $3::int[], $4::bigint[], $5::int[], $6::bigint[], $7::bigint[])
           as n(topic, partition, next_offset, epoch, commit_lsn, ord)
         where o.pipeline = $1 and o.topic = n.topic and o.partition = n.partition`,
        [
          reader,
          checkpoints.map((c) => c.topic),
          checkpoints.map((c) => c.partition),
          checkpoints.map((c) => c.nextOffset),
          checkpoints.map((c) => c.position.epoch),
          checkpoints.map((c) => c.position.commitLsn),
          checkpoints.map((c) => c.position.order)
        ]
      )
  }
}

export const partitionId = ({ partition, topic }: { readonly topic: string; readonly partition: number }): string =>
  `${topic}/${partition}`

/** Drops what this pipeline has seen already (a record written twice keeps its position), and says where the batch ends. */
export const unseen = (
  batch: PartitionBatch,
  checkpoint: PartitionCheckpoint
): { readonly changes: ReadonlyArray<SourceChange>; readonly end: PartitionCheckpoint } => {
  let position = checkpoint.position
  const changes: Array<SourceChange> = []
  for (const change of batch.changes) {
    if (!isAfter(change.position, position)) continue
    position = change.position
    changes.push(change)
  }
  return { changes, end: { topic: batch.topic, partition: batch.partition, nextOffset: batch.nextOffset, position } }
}

export const isUnread = (checkpoint: PartitionCheckpoint): boolean =>
  !isAfter(checkpoint.position, beginning)

const ofRow = (row: OffsetRow): PartitionCheckpoint => ({
  topic: row.topic,
  partition: row.partition,
  nextOffset: row.next_offset,
  position: { epoch: row.epoch, commitLsn: Lsn(row.commit_lsn), order: Number(row.ord) }
})
