import { Context, Deferred, Effect, type Scope } from "effect"
import { CaptureError } from "../capture/CaptureError.ts"
import * as CapturedTables from "../capture/CapturedTables.ts"
import * as EventTopics from "../capture/EventTopics.ts"
import * as Rereads from "../capture/Rereads.ts"
import * as TableSighting from "../capture/TableSighting.ts"
import { AppConfig } from "../Config.ts"
import { Kafka } from "../connections/Kafka.ts"
import type { KafkaError } from "../connections/KafkaError.ts"
import { Postgres } from "../connections/Postgres.ts"
import type { PostgresError } from "../connections/PostgresError.ts"
import { readAgain } from "../domain/Remedy.ts"
import * as TableName from "../domain/TableName.ts"
import * as TopicName from "../domain/TopicName.ts"
import { lossOf, type TopicIdentity } from "../domain/TopicIdentity.ts"
import { KnownEnds } from "../publish/KnownEnds.ts"
import * as TopicIdentities from "../publish/TopicIdentities.ts"
import * as Topics from "../publish/Topics.ts"
import { addedTables, forgetRemoved } from "./AddedTables.ts"
import { CaptureObserver } from "./CaptureObserver.ts"

/**
 * Whether what capture publishes is still all of each table: compares tables and topics with what is remembered, at the beginning of
 * a session and then every few seconds. A table of which changes may be missing is marked gapped, and stays so until `cdc snapshot`
 * has read it again; the others go on. Topics of events are looked at beside: what becomes of their events, `EventWitness` says.
 */
export interface TableWatch {
  /** Told by the writer what Kafka has acknowledged. */
  readonly acknowledged: (batches: ReadonlyArray<TopicIdentities.Acknowledgement>) => void
  /** Fails once a topic is not the one that the session began with: its end must be read, and the producer begun, anew. Never succeeds. */
  readonly topicsChanged: Effect.Effect<never, CaptureError>
}

/** Every so often the tables; every few times of that, the topics. Tests have less patience. */
export const Pace = Context.Reference("cdc/run/TableWatch/Pace", { defaultValue: () => ({ checkMillis: 2_000, checksPerTopicCheck: 5 }) })

/** Begins when the slot is ours. `topics`: those that the session writes to. */
export const open = Effect.fnUntraced(function*(
  topics: ReadonlySet<string>
): Effect.fn.Return<TableWatch, CaptureError | KafkaError | PostgresError, AppConfig | Kafka | Postgres | Scope.Scope> {
  const { kafka, source } = yield* AppConfig
  const sql = yield* Postgres
  const context = yield* Effect.context<Kafka>()
  const observer = yield* CaptureObserver
  const { checkMillis, checksPerTopicCheck } = yield* Pace
  const state = CapturedTables.make(source.stateSchema, source.slot)
  const topicOf = (name: TableName.TableName) => TopicName.ofTable(kafka.topicPrefix, name)
  const eventTopics = Topics.ofEvents(kafka).map(({ topic }) => topic)
  const eventState = EventTopics.make(source.stateSchema, source.slot)
  const all = [...source.tables.map(topicOf), ...eventTopics]
  const topicsChanged = yield* Deferred.make<never, CaptureError>()

  yield* forgetRemoved
  yield* refuseAdded
  const seenTopics = yield* TopicIdentities.read(all)
  yield* rememberNew(yield* state.load(sql), seenTopics)
  const ends = new KnownEnds(new Map([...seenTopics].filter(([topic]) => topics.has(topic))))
  let noted = ends.now

  const mark = Effect.fnUntraced(function*(table: CapturedTables.CapturedTable, gap: string) {
    const { name } = table
    if (!(yield* state.markGapped(sql, table, gap))) return false
    yield* Effect.logWarning(`${TableName.format(name)}: changes may be missing from now on: ${gap}; ${readAgain(name)}`)
    return true
  })

  /** Marks what is not as remembered; one that is marked for the same reason is left alone. Tells all that are. */
  const check = Effect.fnUntraced(function*(lossOfTopic: (table: CapturedTables.CapturedTable, topic: string) => string | undefined) {
    const remembered = yield* state.load(sql)
    const seen = yield* TableSighting.read(sql, source.publication, source.tables)
    const gaps: Array<CapturedTables.TableGap> = []
    for (const name of source.tables) {
      const table = remembered.get(TableName.format(name))
      if (table === undefined) continue
      const found = TableSighting.gapOf(table, seen.get(TableName.format(name)), source.publication) ?? lossOfTopic(table, topicOf(name))
      const isNew = found !== undefined && !(table.state === "gapped" && table.gap === found) && (yield* mark(table, found))
      const gap = CapturedTables.toGap(isNew ? { ...table, state: "gapped", gap: found } : table)
      if (gap !== undefined) gaps.push(gap)
    }
    observer.gaps(gaps)
    observer.eventGaps(eventTopics.filter((topic) => !topics.has(topic) || ends.losses.has(topic)))
  })

  const noteEnds = Effect.gen(function*() {
    const now = ends.now
    const hasMoved = (topic: string) => now.get(topic)?.ends.join() !== noted.get(topic)?.ends.join()
    const moved = source.tables.filter((name) => hasMoved(topicOf(name)))
    const movedEvents = eventTopics.filter(hasMoved)
    noted = now
    if (moved.length > 0) yield* state.noteEnds(sql, new Map(moved.map((name) => [TableName.format(name), now.get(topicOf(name))!.ends])))
    if (movedEvents.length > 0) yield* eventState.noteEnds(sql, new Map(movedEvents.map((topic) => [topic, now.get(topic)!.ends])))
  })

  const beginAgain = (why: string) =>
    Deferred.fail(topicsChanged, new CaptureError({ reason: "interrupted", message: `${why}; beginning again with the topics as they are` }))

  const checkTopics = Effect.gen(function*() {
    const before = ends.now
    const seen = yield* Effect.provideContext(TopicIdentities.read(all), context)
    ends.observed(before, seen)
    yield* noteEnds
    const back = all.find((topic) => seen.has(topic) && !topics.has(topic))
    if (back !== undefined) yield* beginAgain(`topic ${back} is there again`)
    const grown = all.find((topic) => partitionsOf(seen, topic) > partitionsOf(seenTopics, topic))
    if (grown !== undefined) yield* beginAgain(`topic ${grown} has more partitions than before`)
  })

  /** Marked, then told: the next session begins with what is remembered. */
  const tellLosses = Effect.suspend(() => {
    const [loss] = ends.losses.values()
    return loss === undefined ? Effect.void : beginAgain(loss)
  })

  const checkAll = Effect.fnUntraced(function*(nth: number) {
    if (nth % checksPerTopicCheck === 0) yield* checkTopics
    yield* check((_, topic) => ends.losses.get(topic))
    yield* tellLosses
  })

  yield* check((table, topic) => table.topicId === null ? undefined : lossOf(topic, { id: table.topicId, ends: table.ends }, seenTopics.get(topic)))
  let checks = 0
  yield* Effect.addFinalizer(() => Effect.ignore(Effect.timeout(noteEnds, "1 second")))
  yield* Effect.suspend(() => checkAll(++checks)).pipe(
    Effect.catch((error) => Effect.logDebug(`captured tables not looked at: ${error.message}`)), // the stream has the same trouble, and tells it
    Effect.delay(checkMillis),
    Effect.forever,
    Effect.forkScoped
  )
  return {
    acknowledged: (batches) => ends.acknowledged(batches),
    topicsChanged: Deferred.await(topicsChanged)
  }
})

/** 0: it was not there. */
const partitionsOf = (topics: ReadonlyMap<string, TopicIdentity>, topic: string): number => topics.get(topic)?.ends.length ?? 0

/** Whose rows of before nobody has asked for: captured from here on, its topic would lack them for good. */
const refuseAdded = Effect.gen(function*() {
  const { source } = yield* AppConfig
  const sql = yield* Postgres
  const added = yield* addedTables
  const seen = yield* TableSighting.read(sql, source.publication, added)
  const names = added.map(TableName.format).filter((name) => seen.has(name))
  if (names.length === 0) return
  return yield* new CaptureError({
    reason: "notSetUp",
    message: `${names.join(", ")} came into source.tables: run \`cdc setup\`, which puts what is new into the publication and has its rows read.`
  })
})

/** What is remembered of the captured tables before a session begins, by `TableName.format`. */
export const remembered = Effect.gen(function*() {
  const { source } = yield* AppConfig
  const sql = yield* Postgres
  const state = CapturedTables.make(source.stateSchema, source.slot)
  // An earlier version's `setup` has not made them.
  yield* Rereads.make(source.stateSchema, source.slot).createTable(sql)
  yield* state.createTable(sql)
  return yield* state.load(sql)
})

/** Their topics: one that is missing was deleted since. */
export const topicsOf = (tables: ReadonlyMap<string, CapturedTables.CapturedTable>, topicPrefix: string): ReadonlySet<string> =>
  new Set([...tables.values()].filter(({ topicId }) => topicId !== null).map(({ name }) => TopicName.ofTable(topicPrefix, name)))

/** Tables that nothing is remembered of are taken as they are, from now on: by `setup`, and where an earlier version had set up. */
export const rememberNew = Effect.fnUntraced(function*(
  remembered: ReadonlyMap<string, CapturedTables.CapturedTable>,
  topics: ReadonlyMap<string, TopicIdentity>
): Effect.fn.Return<void, PostgresError, AppConfig | Postgres> {
  const { kafka, source } = yield* AppConfig
  const sql = yield* Postgres
  const missing = source.tables.filter((name) => !remembered.has(TableName.format(name)))
  if (missing.length === 0) return
  const state = CapturedTables.make(source.stateSchema, source.slot)
  const seen = yield* TableSighting.read(sql, source.publication, missing)
  for (const name of missing) {
    const table = seen.get(TableName.format(name))
    if (table !== undefined) yield* state.remember(sql, name, table, topics.get(TopicName.ofTable(kafka.topicPrefix, name)), "captured")
  }
})
