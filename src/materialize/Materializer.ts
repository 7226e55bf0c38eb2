import { Effect } from "effect"
import type { KafkaError } from "../connections/KafkaError.ts"
import { Postgres, type Sql } from "../connections/Postgres.ts"
import type { PostgresError } from "../connections/PostgresError.ts"
import type { BadInput, BadRecord, PartitionBatch, SourceChange } from "../domain/SourceChange.ts"
import * as TableName from "../domain/TableName.ts"
import { makeAnnouncer } from "./Announcer.ts"
import { type Breaker, makeBreaker, neverTrips } from "./Breaker.ts"
import { makeCheckpoint, partitionId, unseen } from "./Checkpoint.ts"
import { type Folded, makeFolding } from "./Folding.ts"
import { groupId, type GroupKey } from "./GroupStore.ts"
import { noteRetried, type Reread, type Retried, retriable, spokenBy } from "./LetterRetry.ts"
import { makeLetterStore } from "./LetterStore.ts"
import { makeMirrorWriter, parseMirrorKey } from "./MirrorWriter.ts"
import { admit, makePause, recordsOf } from "./Pause.ts"
import { makePendingKeys } from "./PendingKeys.ts"
import type { Pipeline, TriggerSource } from "./Pipeline.ts"
import { PipelineError } from "./PipelineError.ts"
import { settingsHash } from "./Registration.ts"
import { noWork, type Work } from "./Replacements.ts"
import { entryId, makeSourceReader } from "./SourceReader.ts"
import { stateTables } from "./StateTables.ts"
import { makeTargetWriter } from "./TargetWriter.ts"
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
  /** Rows that wait for their parent to appear. */
  readonly orphans: number
  readonly bad: ReadonlyArray<BadInput>
  /** The source commit times (µs) of the changes, for latency. */
  readonly commitMicros: ReadonlyArray<number>
}

export interface MaterializerOptions {
  readonly pipeline: Pipeline
  readonly stateSchema: string
  readonly generation: number
  /** Which source a topic feeds: its index in the pipeline. */
  readonly sourceOf: (topic: string) => number
  /** Sets records aside before the transaction commits, so that none is lost; after a failed commit, again. */
  readonly setAside: (records: ReadonlyArray<BadRecord>) => Effect.Effect<void, KafkaError>
  /** Pauses rather than set aside too many; absent: never. */
  readonly breaker?: Breaker
  /** The database's clock in µs; a parameter so that tests can live through years. */
  readonly clock?: (sql: Sql) => Effect.Effect<bigint, PostgresError>
}

/**
 * Applies batches to a pipeline's state and to the hub's rows. Guarantees: a batch's offsets, state and aggregate rows (or,
 * where the hub holds a row, its pending key), and the events that tell of them, commit in one Postgres transaction, or none of them does; records that were
 * applied already, by whomever, are never applied again (`superseded`); a row's value depends only on the source rows, not
 * on how they were batched or by how many instances.
 */
export const makeMaterializer = Effect.fnUntraced(function*(options: MaterializerOptions) {
  const postgres = yield* Postgres
  const { clock = databaseClock, pipeline } = options
  const tables = stateTables(options.stateSchema, pipeline.name, options.generation)
  const checkpoint = makeCheckpoint(tables, pipeline.name)
  const readSources = makeSourceReader(pipeline)
  const writers = new Map(Object.entries(pipeline.groups).map(([name, group]) => [name, makeTargetWriter(group.target)]))
  const announcers = new Map(Object.entries(pipeline.groups).map(([name, group]) => [name, makeAnnouncer(tables, pipeline.name, group)]))
  const mirror = pipeline.mirror === undefined ? undefined : makeMirrorWriter(pipeline, pipeline.mirror, tables)
  const letters = makeLetterStore(tables)
  const pause = makePause(tables, pipeline.name)
  const breaker = options.breaker ?? makeBreaker(neverTrips)
  const pending = makePendingKeys(tables, pipeline.name)
  const hash = settingsHash(pipeline.settings)

  const evaluatedAt = Effect.fnUntraced(function*(sql: Sql, groups: Iterable<GroupKey>) {
    const floors = new Map<string, bigint>()
    for (const [name, ofGroup] of Map.groupBy(groups, ({ group }) => group)) {
      for (const [key, at] of yield* writers.get(name)!.evaluatedAt(sql, ofGroup.map(({ key }) => key))) floors.set(groupId(name, key), at)
    }
    return floors
  })
  const { entryStore, fold, groupStore, linkStore } = makeFolding(pipeline, tables, evaluatedAt)

  /** Folds work and writes what follows; the hub's rows last, so that they are held for as short as possible. */
  const carryOut = Effect.fnUntraced(function*(sql: Sql, work: Work) {
    const folded = yield* fold(sql, work, yield* clock(sql))
    yield* remember(sql, folded)
    const announcements = yield* Effect.forEach([...folded.rows], ([name, rows]) => Effect.map(announcers.get(name)!.begin(sql, rows), (tell) => [name, tell] as const))
    const tellOf = new Map(announcements)
    yield* sql.query("Limiting the wait for locks", "set local lock_timeout = '100ms'") // below deadlock_timeout: the hub is never the victim
    const outcome = { written: 0, orphans: 0, held: new Map<string, ReadonlyArray<string>>() }
    for (const [name, rows] of folded.rows) {
      const written = yield* writers.get(name)!.write(sql, rows)
      yield* tellOf.get(name)!(written)
      outcome.written += written.written
      outcome.orphans += written.orphans.length
      outcome.held.set(TableName.format(pipeline.groups[name]!.target.table), written.held)
    }
    if (mirror !== undefined && folded.mirrors.length > 0) {
      const { held, written } = yield* mirror.write(sql, folded.mirrors)
      outcome.written += written
      outcome.held.set(TableName.format(mirror.target.table), held)
    }
    return outcome
  })

  /** A key once managed stays so, whatever becomes of the state. */
  const remember = (sql: Sql, { newlyManaged }: Folded) =>
    newlyManaged.length === 0 ? Effect.void : sql.query(
      "Remembering what is managed",
      `insert into ${tables.managed} (pipeline, target, key) select $1, * from unnest($2::text[], $3::text[]) on conflict do nothing`,
      [pipeline.name, newlyManaged.map(({ group }) => TableName.format(pipeline.groups[group]!.target.table)), newlyManaged.map(({ key }) => key)]
    )

  /** Counts what was done; an instance whose settings are not those that the state is made by is stopped here, uncommitted. */
  const record = Effect.fnUntraced(function*(
    sql: Sql,
    applied: { readonly written: number; readonly changes: number; readonly bad: number; readonly commitMicros: number | null }
  ) {
    const recorded = yield* sql.query(
      "Recording progress",
      `update ${tables.pipelines} set writes = writes + $2, applied = applied + $3, dead_letters = dead_letters + $4, last_applied_at = clock_timestamp(),
         last_commit_at = greatest(last_commit_at, timestamptz 'epoch' + $5::bigint * interval '1 microsecond')
       where name = $1 and generation = $6 and settings_hash = $7 returning 1`,
      [pipeline.name, applied.written, applied.changes, applied.bad, applied.commitMicros, options.generation, hash]
    )
    if (recorded.length === 1) return
    return yield* new PipelineError({
      reason: "misconfigured",
      pipeline: pipeline.name,
      message: `Pipeline ${pipeline.name}: another instance was started with other settings, and the state follows those; `
        + "start this one again with the same configuration"
    })
  })

  const apply = (batches: ReadonlyArray<ClaimedBatch>): Effect.Effect<Applied, PostgresError | PipelineError | KafkaError> =>
    Effect.map(postgres.transaction((sql) => applyIn(sql, batches)), ({ recent, ...applied }) => {
      breaker.recent = recent // only now that it is committed
      return applied
    })

  const applyIn = Effect.fnUntraced(function*(sql: Sql, batches: ReadonlyArray<ClaimedBatch>) {
    const claimed = yield* checkpoint.claim(sql, batches)
    const read = batches.map((batch) => unseen(batch, claimed.get(partitionId(batch))!))
    const changes = batches.flatMap((batch, index) => read[index]!.changes.map((change) => ({ source: options.sourceOf(batch.topic), change })))
    yield* awaitVisible(sql, [...new Set(changes.flatMap(({ change: { xid } }) => xid === 0 ? [] : [xid]))])
    const reading = readSources(changes)
    const bad = [...batches.flatMap((batch) => batch.unreadable), ...reading.bad]
    const recent = yield* admit(sql, pipeline.name, pause, breaker, batches.flatMap((batch, index) => recordsOf(batch, read[index]!.changes)), bad)
    if (bad.length > 0) yield* options.setAside(bad)
    const outcome = yield* carryOut(sql, { ...noWork, entries: reading.entries, links: reading.links, groups: reading.triggered })
    yield* pending.add(sql, outcome.held)
    yield* letters.note(sql, bad)
    yield* letters.supersede(sql, () => spokenBy(changes.map(({ change }) => change), reading))
    yield* checkpoint.advance(sql, read.map(({ end }) => end))
    const commitMicros = changes.map(({ change }) => change.commitMicros)
    yield* record(sql, {
      written: outcome.written,
      changes: changes.length,
      bad: bad.length,
      commitMicros: commitMicros.reduce<number | null>((last, micros) => last === null || micros > last ? micros : last, null)
    })
    return {
      changes: changes.length,
      written: outcome.written,
      held: count(outcome.held),
      orphans: outcome.orphans,
      bad: bad.map(({ why }) => why),
      commitMicros,
      recent
    }
  })

  /**
   * Applies dead letters of one partition, read once more, in one transaction: those that are still their keys' last word, through
   * the same fold as a batch. Offsets stay. Who comes second, after a kill or beside another, finds them closed (hard part 20).
   */
  const retry = (place: { readonly topic: string; readonly partition: number }, rereads: ReadonlyArray<Reread>): Effect.Effect<Retried, PostgresError | PipelineError> =>
    postgres.transaction(Effect.fnUntraced(function*(sql) {
      yield* checkpoint.lock(sql, place)
      const open = yield* letters.open(sql, place.topic, place.partition, rereads.map(({ record }) => record.offset))
      const found = retriable(rereads, open)
      const source = options.sourceOf(place.topic)
      const reading = readSources(found.changes.map((change) => ({ source, change })))
      const outcome = yield* carryOut(sql, { ...noWork, entries: reading.entries, links: reading.links, groups: reading.triggered })
      yield* pending.add(sql, outcome.held)
      const { applied, stillBad } = yield* noteRetried(sql, letters, place, found, reading)
      yield* record(sql, { written: outcome.written, changes: applied, bad: 0, commitMicros: null })
      return { applied, closed: rereads.length - open.size, stillBad }
    }))

  /** Tries some pending keys again, the oldest first; says how many are settled. Any number of instances may do this at once. */
  const retryPending: Effect.Effect<{ readonly settled: number; readonly held: number }, PostgresError | PipelineError> = postgres.transaction(
    Effect.fnUntraced(function*(sql) {
      const taken = yield* pending.take(sql)
      if (taken.size === 0) return { settled: 0, held: 0 }
      const groups = Object.entries(pipeline.groups).flatMap(([group, { target }]) =>
        (taken.get(TableName.format(target.table)) ?? []).map((key) => ({ group, key }))
      )
      const mirrors = mirror === undefined ? [] : (taken.get(TableName.format(mirror.target.table)) ?? []).map(parseMirrorKey)
      if (mirrors.length > 0) yield* checkpoint.hold(sql) // a mirror row has no lock of its own but its partition's
      const outcome = yield* carryOut(sql, { ...noWork, groups, mirrors })
      yield* pending.settle(sql, taken, outcome.held)
      yield* record(sql, { written: outcome.written, changes: 0, bad: 0, commitMicros: null })
      return { settled: count(taken) - count(outcome.held), held: count(outcome.held) }
    })
  )

  /**
   * Renders the rows that time alone has changed (decay), some at a time; says how many, and in how many µs the next is due (null:
   * never). Due groups are claimed with SKIP LOCKED: any number of instances may do this at once (hard part 25).
   */
  const wake: Effect.Effect<{ readonly woken: number; readonly nextIn: bigint | null }, PostgresError | PipelineError> = postgres.transaction(
    Effect.fnUntraced(function*(sql) {
      const now = yield* clock(sql)
      const groups = yield* groupStore.takeDue(sql, now, wakePageSize)
      if (groups.length > 0) {
        const outcome = yield* carryOut(sql, { ...noWork, groups })
        yield* pending.add(sql, outcome.held)
        yield* record(sql, { written: outcome.written, changes: 0, bad: 0, commitMicros: null })
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
    const source = options.sourceOf(batch.topic)
    while (true) {
      const page = yield* postgres.transaction(Effect.fnUntraced(function*(sql) {
        const claimed = yield* checkpoint.claim(sql, [batch])
        const { changes, end } = unseen({ ...batch, changes: [truncate] }, claimed.get(partitionId(batch))!)
        const work = changes.length === 0 ? undefined : yield* truncatedWork(sql, source, truncate)
        if (work === undefined) {
          if (changes.length > 0) yield* letters.supersedeAll(sql, truncate.record)
          yield* checkpoint.advance(sql, [end])
          return undefined
        }
        const outcome = yield* carryOut(sql, work)
        yield* pending.add(sql, outcome.held)
        yield* record(sql, { written: outcome.written, changes: 0, bad: 0, commitMicros: truncate.commitMicros })
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
    if (source.on === "disappear") {
      yield* pending.addEvery(sql, TableName.format(pipeline.groups[source.group]!.target.table), source.group)
    }
    return undefined
  })

  return { apply, applyTruncate, retry, retryPending, wake, checkpoint }
})

export type Materializer = Effect.Success<ReturnType<typeof makeMaterializer>>

/** Rows that one transaction renders because of the time. */
const wakePageSize = 1_000

/** Rows or keys that one transaction handles of a truncation. */
const pageSize = 5_000

const databaseClock = (sql: Sql): Effect.Effect<bigint, PostgresError> =>
  Effect.map(
    sql.query<{ now: bigint }>("Reading the clock", "select (extract(epoch from clock_timestamp()) * 1000000)::bigint as now"),
    ([row]) => row!.now
  )

const count = (held: ReadonlyMap<string, ReadonlyArray<string>>): number => {
  let sum = 0
  for (const keys of held.values()) sum += keys.length
  return sum
}
