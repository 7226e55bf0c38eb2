import { Effect, identity, References } from "effect"
import { catalogue } from "../../pipelines/Catalogue.ts"
import { AppConfig } from "../../src/Config.ts"
import { Postgres } from "../../src/connections/Postgres.ts"
import type { BadInput, RawRecord } from "../../src/domain/SourceChange.ts"
import * as TableName from "../../src/domain/TableName.ts"
import { makeCandidates } from "../../src/materialize/Candidate.ts"
import type { Breaker } from "../../src/materialize/Breaker.ts"
import { EvaluationClock } from "../../src/materialize/EvaluationClock.ts"
import { makeMaterializer } from "../../src/materialize/Materializer.ts"
import { makeOwnTables } from "../../src/materialize/OwnTables.ts"
import type { Pipeline } from "../../src/materialize/Pipeline.ts"
import { createSharedTables, register } from "../../src/materialize/Registration.ts"
import * as TopicName from "../../src/domain/TopicName.ts"
import { batchOf, type Changes, type PartitionLog } from "../support/Changes.ts"

export const pipelineOf = (name: string) =>
  Effect.map(AppConfig, ({ pipelineSettings }) => catalogue[name]!(pipelineSettings[name] ?? {}))

/** A pipeline with its state tables, and an instance of it over `changes` that remembers how far it is. */
export const run = Effect.fnUntraced(function*(
  pipelineOrName: string | Pipeline,
  changes: Changes,
  options: { readonly now?: () => bigint; readonly breaker?: Breaker; readonly isCandidate?: boolean } = {}
) {
  const { source } = yield* AppConfig
  const postgres = yield* Postgres
  const pipeline = typeof pipelineOrName === "string" ? yield* pipelineOf(pipelineOrName) : pipelineOrName
  const generation = yield* postgres.transaction((sql) =>
    createSharedTables(sql, source.stateSchema).pipe(
      Effect.andThen(makeOwnTables(sql, [pipeline])),
      Effect.andThen(options.isCandidate === true
        ? makeCandidates(source.stateSchema, pipeline).open(sql, { anew: false, known: false })
        : register(sql, source.stateSchema, pipeline))
    )
  ).pipe(Effect.provideService(References.MinimumLogLevel, "None"))
  const tables = pipeline.sources.map(({ table }) => TableName.format(table))
  const topics = TopicName.ofSources("hub", pipeline.sources)
  const setAside: Array<{ readonly record: RawRecord; readonly why: BadInput }> = []
  const clock = options.now
  const materializer = yield* makeMaterializer({
    pipeline,
    stateSchema: source.stateSchema,
    generation,
    topics,
    setAside: (records) => Effect.sync(() => void setAside.push(...records)),
    ...(options.breaker === undefined ? {} : { breaker: options.breaker })
  }).pipe(clock === undefined ? identity : Effect.provideService(EvaluationClock, () => Effect.sync(clock)))
  const logs = tables.flatMap((table) => changes.logs(table))
  yield* materializer.checkpoint.register(postgres, logs)

  const stored = Effect.fnUntraced(function*() {
    const at = new Map((yield* materializer.checkpoint.all(postgres)).map((c) => [`${c.topic}/${c.partition}`, Number(c.nextOffset)]))
    return (log: PartitionLog) => at.get(`${log.topic}/${log.partition}`)!
  })

  /** Applies everything that is left, all partitions together; a truncate alone. */
  const applyAll = Effect.fnUntraced(function*() {
    const next = yield* stored()
    const bad: Array<BadInput> = []
    const sums = { written: 0, held: 0, orphans: 0, changes: 0 }
    const apply = Effect.fnUntraced(function*(batches: ReadonlyArray<ReturnType<typeof batchOf>>) {
      const applied = yield* materializer.apply(batches)
      bad.push(...applied.bad)
      for (const name of ["written", "held", "orphans", "changes"] as const) sums[name] += applied[name]
    })
    const together: Array<ReturnType<typeof batchOf>> = []
    for (const log of logs) {
      let from = next(log)
      for (let at = from; at < log.changes.length; at++) {
        if (log.changes[at]!.kind !== "truncate") continue
        if (at > from) yield* apply([batchOf(log, from, at)])
        yield* materializer.applyTruncate(batchOf(log, at, at + 1), log.changes[at]!)
        from = at + 1
      }
      if (from < log.changes.length) together.push(batchOf(log, from))
    }
    if (together.length > 0) yield* apply(together)
    return { ...sums, bad }
  })

  return { pipeline, materializer, setAside, tables, logs, stored, applyAll }
})

export type Running = Effect.Success<ReturnType<typeof run>>
