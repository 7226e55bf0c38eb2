import { Effect, Latch } from "effect"
import type { KafkaError } from "../connections/KafkaError.ts"
import { Postgres, type Sql } from "../connections/Postgres.ts"
import type { PostgresError } from "../connections/PostgresError.ts"
import type { BadInput, BadRecord, PartitionBatch, SourceChange } from "../domain/SourceChange.ts"
import * as TableName from "../domain/TableName.ts"
import { type Breaker, makeBreaker, neverTrips, remember } from "./Breaker.ts"
import { makeCheckpoint, partitionId, unseen } from "./Checkpoint.ts"
import { type Cursor, makeComparison, type Page } from "./Comparison.ts"
import { EvaluationClock } from "./EvaluationClock.ts"
import { asOf, asStored, makeFolding } from "./Folding.ts"
import { enter, type Generation, otherSettings } from "./Generation.ts"
import { type HubOutcome, makeHubWriter, nothingWritten } from "./HubWriter.ts"
import { noteRetried, type Reread, type Retried, retriable, spokenBy } from "./LetterRetry.ts"
import { makeLetterStore } from "./LetterStore.ts"
import { parseMirrorKey } from "./MirrorWriter.ts"
import { admit, makePause, recordsOf } from "./Pause.ts"
import { countOf, type KeysByTarget, makePendingKeys } from "./PendingKeys.ts"
import type { Pipeline, TriggerSource } from "./Pipeline.ts"
import type { PipelineError } from "./PipelineError.ts"
import { settingsHash } from "./SettingsHash.ts"
import { noWork, type Work } from "./Replacements.ts"
import { entryId, makeSourceReader } from "./SourceReader.ts"
import { stateTables } from "./StateTables.ts"
import { awaitVisible } from "./Visibility.ts"

/** One fetched partition, read from where its checkpoint stood. */
export type ClaimedBatch = PartitionBatch & { readonly fromOffset: bigint }

/** What a transaction did. */
export interface Applied {
  /** Changes that were not seen before. */
  readonly changes: number
  /** Aggregate rows inserted, updated or deleted. */
  readonly written: number
  /** Rows that somebody held: their keys are pending. */
  readonly held: number
  /** Of those, rows that are for the next transaction. */
  readonly surplus: number
  /** Rows that wait for their parent to appear. */
  readonly orphans: number
  readonly bad: ReadonlyArray<BadInput>
  /** The source commit times (µs) of the changes, for latency. */
  readonly commitMicros: ReadonlyArray<number>
}

export interface MaterializerOptions {
  readonly pipeline: Pipeline
  readonly stateSchema: string
  readonly generation: Generation
  /** Of each source of the pipeline, the one it is read from. */
  readonly topics: ReadonlyArray<string>
  /** Sets records aside before the transaction commits, so that none is lost; after a failed commit, again. */
  readonly setAside: (records: ReadonlyArray<BadRecord>) => Effect.Effect<void, KafkaError | PostgresError>
  /** Pauses rather than set aside too many; absent: never. */
  readonly breaker?: Breaker
}

/**
 * Applies batches to a pipeline's state and to the hub's rows. Guarantees: a batch's offsets, state and aggregate rows (or,
 * where the hub holds a row, its pending key), and the events that tell of them, commit in one Postgres transaction, or none of them does; records that were
 * applied already, by whomever, are never applied again (`superseded`); a row's value depends only on the source rows, not
 * on how they were batched or by how many instances.
 */
export const makeMaterializer = Effect.fnUntraced(function*(options: MaterializerOptions) {
  const postgres = yield* Postgres
  const clock = yield* EvaluationClock
  const { generation, pipeline, topics } = options
  const tables = stateTables(options.stateSchema, pipeline.name, generation.number)
  const checkpoint = makeCheckpoint(tables, generation.name)
  const readSources = makeSourceReader(pipeline)
  const hub = makeHubWriter(pipeline, tables)
  const letters = makeLetterStore(tables)
  const pause = makePause(tables, generation.name)
  const breaker = options.breaker ?? makeBreaker(neverTrips)
  const pending = makePendingKeys(tables, pipeline.name)
  const hash = settingsHash(pipeline.settings)

  const { entryStore, fold, groupStore, linkStore } = makeFolding(pipeline, tables, generation.isLive, hub.evaluatedAt)

  const comparison = makeComparison(pipeline, tables, fold, hub.compare)

  /** Folds work into state. Gives the writing of the hub's rows that follows: to be run last, since it holds them until the commit. */
  const foldWork = Effect.fnUntraced(function*(sql: Sql, work: Work): Effect.fn.Return<Effect.Effect<HubOutcome, PostgresError>, PostgresError> {
    const now = yield* clock(sql)
    const folded = yield* fold(sql, work, generation.isLive ? asOf(now) : asStored(now))
    if (!generation.isLive) return Effect.succeed(nothingWritten)
    return hub.write(sql, folded, work.rested)
  })

  const carryOut = (sql: Sql, work: Work) => Effect.flatten(foldWork(sql, work))

  /** The last step before the commit. Counts what was done; an instance whose settings are not those that the state is made by is stopped here, uncommitted. */
  const record = Effect.fnUntraced(function*(
    sql: Sql,
    applied: { readonly outcome: HubOutcome; readonly changes: number; readonly bad: number; readonly commitMicros: number | null }
  ) {
    const recorded = yield* sql.query(
      "Recording progress",
      `update ${tables.pipelines} set writes = writes + $2, applied = applied + $3, dead_letters = dead_letters + $4, last_applied_at = clock_timestamp(), other_writes = other_writes + case when ${pending.isComparing} then 0 else $8 end,
         last_commit_at = greatest(last_commit_at, timestamptz 'epoch' + $5::bigint * interval '1 microsecond')
       where name = $1 and generation = $6 and settings_hash = $7 returning 1`,
      [generation.name, applied.outcome.written, applied.changes, applied.bad, applied.commitMicros, generation.number, hash, applied.outcome.overwritten]
    )
    if (recorded.length === 0) return yield* otherSettings(pipeline.name)
    yield* applied.outcome.lastLook
  })

  /** Opens a transaction on this generation, see `enter`. */
  const inGeneration = <A, E>(work: (sql: Sql) => Effect.Effect<A, E>) =>
    postgres.transaction((sql) => Effect.andThen(enter(sql, tables, pipeline.name, generation, hash), work(sql)))

  /** Open when a batch has left rows for the next transaction. */
  const surplus = yield* Latch.make(false)

  const apply = (batches: ReadonlyArray<ClaimedBatch>): Effect.Effect<Applied, PostgresError | PipelineError | KafkaError> =>
    Effect.map(inGeneration((sql) => applyIn(sql, batches)), ({ admitted, ...applied }) => {
      breaker.recent = remember(breaker.settings, breaker.recent, admitted) // only now that it is committed
      if (applied.surplus > 0) surplus.openUnsafe()
      return applied
    })

  const applyIn = Effect.fnUntraced(function*(sql: Sql, batches: ReadonlyArray<ClaimedBatch>) {
    const claimed = yield* checkpoint.claim(sql, batches)
    const read = batches.map((batch) => unseen(batch, claimed.get(partitionId(batch))!))
    const changes = batches.flatMap(({ topic }, index) => {
      const source = topics.indexOf(topic)
      return read[index]!.changes.map((change) => ({ source, change }))
    })
    yield* awaitVisible(sql, [...new Set(changes.flatMap(({ change: { xid } }) => xid === 0 ? [] : [xid]))])
    const reading = readSources(changes)
    const bad = [...batches.flatMap((batch) => batch.unreadable), ...reading.bad]
    const admitted = yield* admit(sql, pipeline.name, pause, breaker, batches.flatMap((batch, index) => recordsOf(batch, read[index]!.changes)), bad)
    if (bad.length > 0) yield* options.setAside(bad)
    const writeHub = yield* foldWork(sql, { ...noWork, entries: reading.entries, links: reading.links, groups: reading.triggered })
    yield* letters.note(sql, bad)
    yield* letters.supersede(sql, () => spokenBy(changes.map(({ change }) => change), reading))
    yield* checkpoint.advance(sql, read.map(({ end }) => end))
    const outcome = yield* writeHub
    const commitMicros = changes.map(({ change }) => change.commitMicros)
    yield* record(sql, {
      outcome,
      changes: changes.length,
      bad: bad.length,
      commitMicros: commitMicros.reduce<number | null>((last, micros) => last === null || micros > last ? micros : last, null)
    })
    return {
      changes: changes.length,
      written: outcome.written,
      held: countOf(outcome.held),
      surplus: outcome.surplus,
      orphans: outcome.orphans,
      bad: bad.map(({ why }) => why),
      commitMicros,
      admitted
    }
  })

  /**
   * Applies dead letters of one partition, read once more, in one transaction: those that are still their keys' last word, through
   * the same fold as a batch. Offsets stay. Who comes second, after a kill or beside another, finds them closed (hard part 20).
   */
  const retry = (place: { readonly topic: string; readonly partition: number }, rereads: ReadonlyArray<Reread>): Effect.Effect<Retried, PostgresError | PipelineError> =>
    inGeneration(Effect.fnUntraced(function*(sql) {
      yield* checkpoint.lock(sql, place)
      const open = yield* letters.open(sql, place.topic, place.partition, rereads.map(({ record }) => record.offset))
      const found = retriable(rereads, open)
      const source = topics.indexOf(place.topic)
      const reading = readSources(found.changes.map((change) => ({ source, change })))
      const writeHub = yield* foldWork(sql, { ...noWork, entries: reading.entries, links: reading.links, groups: reading.triggered })
      const { applied, stillBad } = yield* noteRetried(sql, letters, place, found, reading)
      const outcome = yield* writeHub
      yield* record(sql, { outcome, changes: applied, bad: 0, commitMicros: null })
      return { applied, closed: rereads.length - open.size, stillBad }
    }))

  /** Tries some pending keys again, the oldest first; says how many are settled. Any number of instances may do this at once. */
  const retryPending: Effect.Effect<{ readonly settled: number; readonly held: number }, PostgresError | PipelineError> = inGeneration(
    Effect.fnUntraced(function*(sql) {
      const { keys: taken, rested: haveRested } = yield* pending.take(sql, hub.rowsAtOnce)
      if (taken.size === 0) return { settled: 0, held: 0 }
      const groupsOf = (keys: KeysByTarget) => Object.entries(pipeline.groups).flatMap(([group, { target }]) =>
        (keys.get(TableName.format(target.table)) ?? []).map((key) => ({ group, key }))
      )
      const mirrors = pipeline.mirror === undefined ? [] : (taken.get(TableName.format(pipeline.mirror.target.table)) ?? []).map(parseMirrorKey)
      if (mirrors.length > 0) yield* checkpoint.hold(sql) // a mirror row has no lock of its own but its partition's
      const writeHub = yield* foldWork(sql, { ...noWork, groups: groupsOf(taken), rested: groupsOf(haveRested), mirrors })
      yield* pending.forget(sql, taken)
      const outcome = yield* writeHub
      yield* record(sql, { outcome, changes: 0, bad: 0, commitMicros: null })
      return { settled: countOf(taken) - countOf(outcome.held), held: countOf(outcome.held) }
    })
  )

  /**
   * After a switch of generations: compares some more of the hub's rows with the state that has become theirs. Those that differ become
   * pending. false: there is nothing left to compare, or somebody else is at it.
   */
  const reconcile: Effect.Effect<boolean, PostgresError | PipelineError> = inGeneration(
    Effect.fnUntraced(function*(sql) {
      const at = yield* pending.takeEverything(sql)
      if (at === undefined) return false
      if (pipeline.mirror !== undefined) yield* checkpoint.hold(sql)
      const { cells, folded, next } = yield* comparison.page(sql, yield* clock(sql), at)
      yield* hub.remember(sql, folded)
      const differing = new Map([...cells].map(([target, ofTarget]) => [target, [...new Set(ofTarget.map(({ key }) => key))]]))
      yield* pending.add(sql, differing, { rested: () => true })
      yield* pending.settleEverything(sql, next === undefined ? undefined : { ...next, differing: at.differing + countOf(differing) })
      return next !== undefined
    })
  )

  /** A page of what this state would write, see `Comparison`; for a candidate, whose rows nobody writes. */
  const compare = (cursor: Cursor): Effect.Effect<Page, PostgresError | PipelineError> =>
    inGeneration(Effect.fnUntraced(function*(sql) {
      if (pipeline.mirror !== undefined) yield* checkpoint.hold(sql)
      return yield* comparison.page(sql, yield* clock(sql), cursor)
    }))

  /**
   * Renders the rows that time alone has changed (decay), some at a time; says how many, and in how many µs the next is due (null:
   * never). Due groups are claimed with SKIP LOCKED: any number of instances may do this at once (hard part 25).
   */
  const wake: Effect.Effect<{ readonly woken: number; readonly nextIn: bigint | null }, PostgresError | PipelineError> = inGeneration(
    Effect.fnUntraced(function*(sql) {
      const now = yield* clock(sql)
      const groups = yield* groupStore.takeDue(sql, now, wakePageSize)
      if (groups.length > 0) {
        const outcome = yield* carryOut(sql, { ...noWork, groups })
        yield* record(sql, { outcome, changes: 0, bad: 0, commitMicros: null })
      }
      const next = yield* groupStore.nextDue(sql)
      return { woken: groups.length, nextIn: next === null ? null : next - now }
    })
  )

  /**
   * Applies a TRUNCATE's record: every row last seen in its partition at or before it is gone; rows that were inserted since,
   * through another partition, stay (hard part 19). In pages, each a transaction; the offset moves with the last.
   */
  const applyTruncate = Effect.fnUntraced(function*(batch: ClaimedBatch, truncate: SourceChange) {
    const source = topics.indexOf(batch.topic)
    while (true) {
      const page = yield* inGeneration(Effect.fnUntraced(function*(sql) {
        const claimed = yield* checkpoint.claim(sql, [batch])
        const { changes, end } = unseen({ ...batch, changes: [truncate] }, claimed.get(partitionId(batch))!)
        const work = changes.length === 0 ? undefined : yield* truncatedWork(sql, source, truncate)
        if (work === undefined) {
          if (changes.length > 0) yield* letters.supersedeAll(sql, truncate.record)
          yield* checkpoint.advance(sql, [end])
          return undefined
        }
        const outcome = yield* carryOut(sql, work)
        yield* record(sql, { outcome, changes: 0, bad: 0, commitMicros: truncate.commitMicros })
        return outcome.written
      }))
      if (page === undefined) return
    }
  })

  const truncatedWork = Effect.fnUntraced(function*(sql: Sql, index: number, truncate: SourceChange) {
    const { kind } = pipeline.sources[index]!
    const { partition } = truncate.record
    const gone = { partition, position: truncate.position }
    if (kind === "trigger") return yield* triggeredByTruncate(sql, index)
    if (kind === "links") {
      const keys = yield* linkStore.lastSeenIn(sql, partition, truncate.position, pageSize)
      const links = new Map(keys.map((key) => [key, { key, value: null, ...gone }]))
      return keys.length === 0 ? undefined : { ...noWork, links }
    }
    const stored = yield* entryStore.lastSeenIn(sql, index, partition, truncate.position, pageSize)
    const entries = new Map(stored.map((entry) => [entryId(entry), { source: index, key: entry.key, entry: null, isRead: false, ...gone }]))
    return stored.length === 0 ? undefined : { ...noWork, entries }
  })

  /** All rows of a triggering table are gone: every group that this triggers is worth writing again, a page at a time. */
  const triggeredByTruncate = Effect.fnUntraced(function*(sql: Sql, index: number) {
    const source = pipeline.sources[index] as TriggerSource
    if (source.on === "disappear" && generation.isLive) {
      yield* pending.addEvery(sql, TableName.format(pipeline.groups[source.group]!.target.table), source.group)
    }
    return undefined
  })

  /** Forgets some dead letters that were resolved more than so many hours ago; says how many. */
  const pruneLetters = (hours: number): Effect.Effect<number, PostgresError | PipelineError> => inGeneration((sql) => letters.prune(sql, hours))

  return { apply, applyTruncate, retry, retryPending, surplus, reconcile, compare, wake, pruneLetters, checkpoint, generation }
})

export type Materializer = Effect.Success<ReturnType<typeof makeMaterializer>>

/** Rows that one transaction renders because of the time. */
const wakePageSize = 1_000

/** Rows or keys that one transaction handles of a truncation. */
const pageSize = 5_000
