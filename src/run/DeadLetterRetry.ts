import { Effect } from "effect"
import { AppConfig, ConfigurationError } from "../Config.ts"
import { Postgres } from "../connections/Postgres.ts"
import { readDeadLetters, type StoredLetter } from "../consume/DeadLetterReader.ts"
import { readRecord } from "../consume/EnvelopeReader.ts"
import type { BadInput } from "../domain/SourceChange.ts"
import * as TopicName from "../domain/TopicName.ts"
import { partitionId } from "../materialize/Checkpoint.ts"
import { type Letter, type LetterFilter, makeLetterStore } from "../materialize/LetterStore.ts"
import type { Reread, Retried } from "../materialize/LetterRetry.ts"
import { makeMaterializer, type Materializer } from "../materialize/Materializer.ts"
import type { Pipeline } from "../materialize/Pipeline.ts"
import { generationOf } from "../materialize/Registration.ts"
import { stateTables } from "../materialize/StateTables.ts"

/** What a retry came to. `missing`: open, and no longer on their topic (its retention has passed); they stay open. */
export interface RetryReport {
  readonly applied: number
  readonly closed: number
  readonly stillBad: ReadonlyArray<BadInput>
  readonly missing: number
}

/** Retried at once: their records are held in memory, and their keys' locks until the transaction ends. */
const pageSize = 500
/** More than a person could look through; run it again for the rest. */
const maxLetters = 100_000

/**
 * Applies a pipeline's open dead letters again, beside the instances that run. Exactly once, also if it is interrupted and run
 * again; what later changes have made void stays void. The records come from the topics of dead letters.
 */
export const retryDeadLetters = Effect.fnUntraced(function*(pipeline: Pipeline, filter: LetterFilter) {
  const { kafka, pipelines, source } = yield* AppConfig
  if (pipelines.modes[pipeline.name] === "shadow") {
    return yield* new ConfigurationError({
      message: `Pipeline ${pipeline.name} is in shadow mode, and a retry would write the hub's rows: set pipelines.${pipeline.name}.mode to live first`
    })
  }
  const postgres = yield* Postgres
  const generation = yield* generationOf(postgres, source.stateSchema, pipeline)
  const letters = yield* makeLetterStore(stateTables(source.stateSchema, pipeline.name, generation.number)).list(postgres, { ...filter, openOnly: true }, maxLetters)
  const topics = TopicName.ofSources(kafka.topicPrefix, pipeline.sources)
  const materializer = yield* makeMaterializer({
    pipeline,
    stateSchema: source.stateSchema,
    generation,
    topics,
    setAside: () => Effect.void // they are on their topic already
  })
  let report: RetryReport = { applied: 0, closed: 0, stillBad: [], missing: 0 }
  for (const [topic, ofTopic] of Map.groupBy(letters, ({ topic }) => topic)) {
    const wanted = new Map(ofTopic.map((letter) => [placeOf(letter), letter]))
    yield* Effect.scoped(readDeadLetters(TopicName.ofDeadLetters(topic, pipeline.name), Effect.fnUntraced(function*(stored) {
      const found = stored.filter(({ record }) => wanted.delete(placeOf(record)))
      report = plus(report, yield* retryAll(materializer, found))
    })))
    report = { ...report, missing: report.missing + wanted.size }
  }
  return report
})

const placeOf = (record: Pick<Letter, "topic" | "partition" | "offset">): string => `${partitionId(record)}/${record.offset}`

/** Partition by partition, each page a transaction. */
const retryAll = Effect.fnUntraced(function*({ retry }: Materializer, found: ReadonlyArray<StoredLetter>) {
  let sum: RetryReport = { applied: 0, closed: 0, stillBad: [], missing: 0 }
  for (const ofPartition of Map.groupBy(found, ({ record }) => partitionId(record)).values()) {
    for (let from = 0; from < ofPartition.length; from += pageSize) {
      const page = ofPartition.slice(from, from + pageSize).map(rereadOf)
      const { partition, topic } = page[0]!.record
      sum = plus(sum, yield* retry({ topic, partition }, page))
    }
  }
  return sum
})

const plus = (report: RetryReport, more: Retried | RetryReport): RetryReport => ({
  ...report,
  applied: report.applied + more.applied,
  closed: report.closed + more.closed,
  stillBad: [...report.stillBad, ...more.stillBad]
})

const rereadOf = ({ lacksValue, record }: StoredLetter): Reread => {
  if (lacksValue) return { record, read: valueDropped }
  const read = readRecord(record)
  if (read._tag === "Change") return { record, read: read.change }
  return { record, read: read._tag === "Unreadable" ? read.why : { reason: "not-an-envelope", message: "the record has no value" } }
}

const valueDropped: BadInput = {
  reason: "value-dropped",
  message: "its value was too large to be repeated among the dead letters; `cdc snapshot TABLE` reads the rows again"
}
