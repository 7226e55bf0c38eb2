import { Effect } from "effect"
import * as Rereads from "../capture/Rereads.ts"
import { AppConfig } from "../Config.ts"
import { Kafka } from "../connections/Kafka.ts"
import { Postgres } from "../connections/Postgres.ts"
import { ConsumeError } from "../consume/ConsumeError.ts"
import { type Partition, readPartitions } from "../consume/TopicReader.ts"
import { readAgain, replay } from "../domain/Remedy.ts"
import * as TableName from "../domain/TableName.ts"
import * as TopicName from "../domain/TopicName.ts"
import { isUnread, type PartitionCheckpoint, partitionId } from "../materialize/Checkpoint.ts"
import { pipelineOf } from "../materialize/Generation.ts"
import type { Materializer } from "../materialize/Materializer.ts"
import { stateTables } from "../materialize/StateTables.ts"

/**
 * Makes sure that a pipeline can go on from its checkpoint: the records between it and the topics' ends are still there, deletes
 * included (hard part 15). Offset holes are normal on a compacted topic and say nothing; an age beyond the time for which
 * tombstones are kept, or a checkpoint outside of the log, is a gap: it stops rather than jumping over it.
 */
export const openCheckpoint = Effect.fnUntraced(function*(name: string, topics: ReadonlyArray<string>, { checkpoint }: Pick<Materializer, "checkpoint">) {
  const postgres = yield* Postgres
  const partitions = yield* readPartitions(topics)
  const known = new Set((yield* checkpoint.all(postgres)).map(partitionId))
  yield* checkpoint.register(postgres, yield* beginnings(partitions.filter((partition) => !known.has(partitionId(partition)))))
  yield* checkAge(name, partitions, yield* checkpoint.all(postgres))

  const context = yield* Effect.context<Kafka>()
  /** For the reader, when partitions are assigned to it: asked anew, for another instance may have moved them meanwhile. */
  const nextOffsets = (assigned: ReadonlyArray<Partition>): Promise<ReadonlyArray<bigint>> =>
    Effect.gen(function*() {
      const bounds = new Map((yield* readPartitions([...new Set(assigned.map(({ topic }) => topic))])).map((bound) => [partitionId(bound), bound]))
      const stored = new Map((yield* checkpoint.all(postgres)).map((at) => [partitionId(at), at.nextOffset]))
      return yield* Effect.forEach(assigned, (partition) => {
        const next = stored.get(partitionId(partition)) ?? 0n
        const { high, low } = bounds.get(partitionId(partition))!
        return next < low || next > high ? Effect.fail(outside(name, partition, next, low, high)) : Effect.succeed(next)
      })
    }).pipe(Effect.provideContext(context), Effect.runPromise)
  const skip = (partition: Partition, fromOffset: bigint, nextOffset: bigint): Promise<boolean> =>
    Effect.runPromise(checkpoint.skip(postgres, partition, fromOffset, nextOffset))
  return { nextOffsets, skip }
})

/**
 * Where partitions that were never read are read from. A log that does not begin at 0 has lost records, and its table's rows with them,
 * unless all of the table was read again since: then what is there is whole.
 */
const beginnings = Effect.fnUntraced(function*(partitions: ReadonlyArray<PartitionBounds>) {
  const { kafka, source } = yield* AppConfig
  const rereads = Rereads.make(source.stateSchema, source.slot)
  const cut = new Set(partitions.filter(({ low }) => low > 0n).map(({ topic }) => topic))
  for (const table of source.tables.filter((table) => cut.has(TopicName.ofTable(kafka.topicPrefix, table)))) {
    const bounds = yield* rereads.lastWhole(yield* Postgres, table)
    const lost = partitions.find(({ low, partition, topic }) =>
      topic === TopicName.ofTable(kafka.topicPrefix, table) && low > (bounds?.get(partition) ?? 0n))
    if (lost === undefined) continue
    return yield* new ConsumeError({
      reason: "gap",
      message: `${lost.topic}/${lost.partition} begins at offset ${lost.low}: what came before was deleted from it, and rows of ${TableName.format(table)} `
        + `with it. First ${readAgain(table)}`
    })
  }
  return partitions.map(({ low, partition, topic }) => ({ topic, partition, nextOffset: low }))
})

type PartitionBounds = Effect.Success<ReturnType<typeof readPartitions>>[number]

const outside = (name: string, { partition, topic }: Partition, next: bigint, low: bigint, high: bigint): ConsumeError =>
  new ConsumeError({
    reason: "gap",
    message: `Pipeline ${name}: its checkpoint in ${topic}/${partition} is offset ${next}, but the topic holds ${low} to ${high}: `
      + `records were deleted, or the topic was made again. Deletes may be among them; ${replay(pipelineOf(name))}`
  })

/** Fails if a partition that has records to read was last at its end, or moved on, too long ago. */
const checkAge = Effect.fnUntraced(function*(
  name: string,
  partitions: Effect.Success<ReturnType<typeof readPartitions>>,
  checkpoints: ReadonlyArray<PartitionCheckpoint>
) {
  const { consume, source } = yield* AppConfig
  const postgres = yield* Postgres
  const behind = behindOf(partitions, checkpoints)
  if (behind.length === 0 || checkpoints.every(isUnread)) return
  const tables = stateTables(source.stateSchema, "", 1)
  const [row] = yield* postgres.query<{ hours: number | null }>(
    "Reading the age of the checkpoint",
    `select max(extract(epoch from clock_timestamp() - greatest(o.updated_at, p.checked_at)) / 3600)::float8 as hours
     from ${tables.offsets} o join ${tables.pipelines} p on p.name = o.pipeline
     join unnest($2::text[], $3::int[]) as behind(topic, partition) using (topic, partition) where o.pipeline = $1`,
    [name, behind.map(({ topic }) => topic), behind.map(({ partition }) => partition)]
  )
  const hours = row?.hours ?? 0
  if (hours <= consume.maxCheckpointAgeHours) return
  return yield* new ConsumeError({
    reason: "gap",
    message: `Pipeline ${name}: its checkpoint is ${Math.floor(hours)} hours old; compaction may have removed deletes that it has not seen `
      + `(limit: consume.maxCheckpointAgeHours = ${consume.maxCheckpointAgeHours}); ${replay(pipelineOf(name))}`
  })
})

const behindOf = (
  partitions: Effect.Success<ReturnType<typeof readPartitions>>,
  checkpoints: ReadonlyArray<PartitionCheckpoint>
): ReadonlyArray<Partition> => {
  const next = new Map(checkpoints.map((checkpoint) => [partitionId(checkpoint), checkpoint.nextOffset]))
  return partitions.filter((partition) => partition.high > (next.get(partitionId(partition)) ?? 0n))
}

/**
 * Once a minute: notes that the pipeline stands at the ends of all its topics, so that a quiet week is not taken for an absent one; or
 * fails, with what a new consumer cures, because nobody reads on: kafkajs can keep its place in the group and fetch nothing, or nobody
 * may have been given a partition (its issues 659 and 1593; seen after a broker's restart, two instances joining at once).
 */
export const keepChecked = Effect.fnUntraced(function*(name: string, topics: ReadonlyArray<string>, { checkpoint }: Pick<Materializer, "checkpoint">) {
  const { source } = yield* AppConfig
  const postgres = yield* Postgres
  let looks: ReadonlyArray<Standing> = []
  return yield* Effect.forever(Effect.gen(function*() {
    yield* Effect.sleep("1 minute")
    const partitions = yield* readPartitions(topics)
    const checkpoints = yield* checkpoint.all(postgres)
    const behind = behindOf(partitions, checkpoints)
    looks = [...looks, standingOf(behind, checkpoints)].slice(-looksUntilStalled)
    const stalled = stalledIn(looks)
    if (stalled !== undefined) {
      return yield* new ConsumeError({ reason: "disconnected", message: `Nobody has read ${stalled} for ${looksUntilStalled - 1} minutes, though it has records` })
    }
    if (behind.length > 0) return
    yield* postgres.query(
      "Noting that the pipeline is at the topics' ends",
      `update ${stateTables(source.stateSchema, "", 1).pipelines} set checked_at = clock_timestamp() where name = $1`,
      [name]
    )
  }))
})

/** Where each partition that has records to read stood, at one look; by `topic/partition`. */
export type Standing = ReadonlyMap<string, bigint>

/** So that it is two minutes at least: far longer than any batch takes. */
const looksUntilStalled = 3

const standingOf = (behind: ReadonlyArray<Partition>, checkpoints: ReadonlyArray<PartitionCheckpoint>): Standing => {
  const next = new Map(checkpoints.map((checkpoint) => [partitionId(checkpoint), checkpoint.nextOffset]))
  return new Map(behind.map((partition) => [partitionId(partition), next.get(partitionId(partition)) ?? 0n]))
}

/** A partition that had records at each of these looks and stood at the same place; undefined: there is none, or it is too early to say. */
export const stalledIn = (looks: ReadonlyArray<Standing>): string | undefined => {
  const [first, ...later] = looks
  if (first === undefined || looks.length < looksUntilStalled) return undefined
  return first.entries().find(([partition, next]) => later.every((look) => look.get(partition) === next))?.[0]
}
