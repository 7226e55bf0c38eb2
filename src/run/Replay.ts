import { Clock, Effect } from "effect"
import { AppConfig, ConfigurationError } from "../Config.ts"
import { Kafka } from "../connections/Kafka.ts"
import { Postgres } from "../connections/Postgres.ts"
import { readPartitions } from "../consume/TopicReader.ts"
import * as TopicName from "../domain/TopicName.ts"
import { makeCandidates } from "../materialize/Candidate.ts"
import { makeCheckpoint, type PartitionCheckpoint, partitionId } from "../materialize/Checkpoint.ts"
import type { Generation } from "../materialize/Generation.ts"
import type { Pipeline } from "../materialize/Pipeline.ts"
import { stateTables } from "../materialize/StateTables.ts"
import { buildCandidate, type CandidateOptions } from "./CandidateLoop.ts"
import { type ReplayProgress, progressOf } from "./ReplayProgress.ts"

/** How long the switch took, with everybody else's transactions that it waited for; the milliseconds of a person's "short". */
export interface Switched {
  readonly generation: number
  readonly records: number
  /** null: another process made the switch. */
  readonly switchMillis: number | null
}

/**
 * Rebuilds a pipeline's state from the beginning of its topics, beside the one that is live, and then switches to it in one short
 * transaction: readers see the aggregates of the old state until then, and afterwards only rows that differ are written again. May be
 * interrupted at any time, and run again: it goes on where it was.
 */
export const replay = Effect.fnUntraced(function*(
  pipeline: Pipeline,
  options: Omit<CandidateOptions, "opened"> & { readonly tell?: (progress: ReplayProgress) => void }
) {
  const { pipelines } = yield* AppConfig
  if (pipelines.modes[pipeline.name] === "shadow") {
    return yield* new ConfigurationError({
      message: `Pipeline ${pipeline.name} is in shadow mode, and a replay would put its state live: set pipelines.${pipeline.name}.mode to live first`
    })
  }
  let current: Generation | undefined
  const opened = (generation: Generation) => void (current = generation)
  const built = yield* Effect.raceFirst(
    Effect.as(buildCandidate(pipeline, { ...options, opened }), undefined),
    switchWhenDone(pipeline, () => current, options.tell ?? (() => {}))
  )
  yield* cleanUp(pipeline, current)
  return built ?? { generation: current!.number, records: 0, switchMillis: null } satisfies Switched
})

const lookEveryMillis = 500

/** Looks how far the candidate is, and switches when it has been at the ends of its topics, and is nowhere behind the live state. */
const switchWhenDone = Effect.fnUntraced(function*(pipeline: Pipeline, current: () => Generation | undefined, tell: (progress: ReplayProgress) => void) {
  const { kafka, source } = yield* AppConfig
  const postgres = yield* Postgres
  const candidates = makeCandidates(source.stateSchema, pipeline)
  const topics = TopicName.ofSources(kafka.topicPrefix, pipeline.sources)
  const { pipelines } = stateTables(source.stateSchema, pipeline.name, 0)
  let before: ReplayProgress | undefined
  while (true) {
    yield* Effect.sleep(lookEveryMillis)
    const generation = current()
    if (generation === undefined) continue
    const partitions = yield* readPartitions(topics)
    const next = new Map((yield* makeCheckpoint(stateTables(source.stateSchema, pipeline.name, generation.number), generation.name).all(postgres))
      .map((checkpoint) => [partitionId(checkpoint), checkpoint.nextOffset]))
    if (next.size === 0) continue
    const progress: ReplayProgress = progressOf(generation.number, partitions, next, yield* Clock.currentTimeMillis, before)
    tell(progress)
    yield* postgres.query(
      "Noting the progress",
      `update ${pipelines} set records_per_second = $2 where name = $1`,
      [generation.name, progress.recordsPerSecond]
    )
    // Writers never rest: to have reached the ends of a moment ago is to be done.
    const isDone = before !== undefined && before.ends.entries().every(([partition, end]) => (next.get(partition) ?? 0n) >= end)
    before = progress
    if (!isDone) continue
    const start = yield* Clock.currentTimeMillis
    const lost = yield* lostIn(makeCheckpoint(stateTables(source.stateSchema, pipeline.name, 0), pipeline.name).all(postgres), readPartitions(topics))
    const outcome = yield* postgres.transaction((sql) => candidates.promote(sql, generation, lost))
    if (outcome === "promoted") {
      return { generation: generation.number, records: progress.done, switchMillis: (yield* Clock.currentTimeMillis) - start } satisfies Switched
    }
  }
})

/** Partitions that end before the live offset. The ends are read after it: whatever was only just applied lies before them. */
const lostIn = Effect.fnUntraced(function*<E, R>(
  checkpoints: Effect.Effect<ReadonlyArray<PartitionCheckpoint>, E, R>,
  partitions: ReturnType<typeof readPartitions>
) {
  const live = new Map((yield* checkpoints).map((checkpoint) => [partitionId(checkpoint), checkpoint.nextOffset]))
  return (yield* partitions).filter((partition) => (live.get(partitionId(partition)) ?? 0n) > partition.high).map(partitionId)
})

/** What is of no more use; another instance may do it, too. */
const cleanUp = Effect.fnUntraced(function*(pipeline: Pipeline, generation: Generation | undefined) {
  const { kafka: { topicPrefix }, source } = yield* AppConfig
  const postgres = yield* Postgres
  const kafka = yield* Kafka
  yield* postgres.transaction((sql) => makeCandidates(source.stateSchema, pipeline).sweep(sql))
  if (generation === undefined) return
  // Refused while another process is still in the group; empty groups go by themselves after a week.
  yield* Effect.ignore(kafka.admin("Deleting the consumer group of the replay", (admin) => admin.deleteGroups([TopicName.groupOfPipeline(topicPrefix, generation.name)])))
})
