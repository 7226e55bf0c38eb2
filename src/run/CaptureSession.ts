import { Effect, Exit, Latch, Option, Scope } from "effect"
import { CaptureError } from "../capture/CaptureError.ts"
import * as CapturedTables from "../capture/CapturedTables.ts"
import * as CaptureState from "../capture/CaptureState.ts"
import * as Catalogue from "../capture/Catalogue.ts"
import { ChangeReader } from "../capture/ChangeReader.ts"
import * as Rereads from "../capture/Rereads.ts"
import * as ReplicationStream from "../capture/ReplicationStream.ts"
import { AppConfig } from "../Config.ts"
import type { Kafka } from "../connections/Kafka.ts"
import type { KafkaError } from "../connections/KafkaError.ts"
import { Postgres } from "../connections/Postgres.ts"
import * as Lsn from "../domain/Lsn.ts"
import type { Position } from "../domain/Position.ts"
import type { Relation } from "../domain/RowChange.ts"
import * as TableName from "../domain/TableName.ts"
import * as TopicName from "../domain/TopicName.ts"
import * as ColumnPolicy from "../publish/ColumnPolicy.ts"
import { makeRecordEncoder } from "../publish/RecordEncoder.ts"
import * as Tails from "../publish/Tails.ts"
import * as TooLarge from "../publish/TooLarge.ts"
import * as Topics from "../publish/Topics.ts"
import * as TypeMapping from "../publish/TypeMapping.ts"
import * as CaptureDeadLetters from "./CaptureDeadLetters.ts"
import type { CaptureFailure } from "./CaptureFailure.ts"
import { CaptureObserver } from "./CaptureObserver.ts"
import * as EventWitness from "./EventWitness.ts"
import * as FirstSnapshot from "./FirstSnapshot.ts"
import * as Journal from "./Journal.ts"
import { Outbox } from "./Outbox.ts"
import * as Reread from "./Reread.ts"
import * as SendAhead from "./SendAhead.ts"
import * as SlotCheck from "./SlotCheck.ts"
import * as StreamPublisher from "./StreamPublisher.ts"
import * as Sweep from "./Sweep.ts"
import * as TableWatch from "./TableWatch.ts"
import { version } from "./Version.ts"
import * as Watermarks from "./Watermarks.ts"
import * as WithheldTables from "./WithheldTables.ts"

/** From connecting to the first failure. The slot is taken, then the topics, and then their ends are read: nobody else writes after. */
export const run: Effect.Effect<never, CaptureFailure, AppConfig | Kafka | Postgres | Scope.Scope> = Effect.suspend(() =>
  Effect.catchIf(session, (error) => error._tag === "PostgresError" && !error.isRetryable, whatBecameOfTheSlot))

const session = Effect.gen(function*() {
  const { source } = yield* AppConfig
  const observer = yield* CaptureObserver
  const prepared = yield* prepare
  const held = yield* takeOver(prepared)
  const outlet = yield* openOutlet(prepared)
  observer.running()
  return yield* Effect.raceAllFirst([
    work(prepared, held, outlet),
    outlet.sends.failure,
    outlet.watch.topicsChanged,
    held.stream.confirming(outlet.positions.note),
    SlotCheck.watch(prepared.state, source, outlet.positions.last)
  ])
})

/** Everything is as remembered, as far as can be told while another process may still read the slot. */
const prepare = Effect.gen(function*() {
  const { kafka, source } = yield* AppConfig
  const postgres = yield* Postgres
  const state = CaptureState.make(source.stateSchema, source.slot)
  const journal = yield* Journal.open(source.slot)
  const before = yield* SlotCheck.check(state, source, { journal: journal.read, tail: undefined, isReader: false })
  yield* journal.verifyTopic
  const { generatedColumns } = before.publication
  const seenBefore = yield* TableWatch.remembered
  const catalogue = Catalogue.make(postgres, (table) => seenBefore.get(TableName.format(table))?.key)
  const describe = (names: ReadonlyArray<TableName.TableName>) => presentTables(catalogue, names, generatedColumns)
  const tables = yield* describe(source.tables)
  const wanted = tables.map((relation) => ({ topic: TopicName.ofTable(kafka.topicPrefix, relation), hasKey: relation.key.length > 0 }))
  const present = new Set(wanted.map(({ topic }) => topic))
  const former = source.tables.map((table) => TopicName.ofTable(kafka.topicPrefix, table)).filter((topic) => !present.has(topic))
  const events = Topics.ofEvents(kafka)
  const seenTopics = TableWatch.topicsOf(seenBefore, kafka.topicPrefix).union(new Set((yield* EventWitness.remembered).keys()))
  const found = yield* Topics.verify([...wanted, ...events], kafka, former, seenTopics)
  const isOfEvents = new Set(events.map(({ topic }) => topic))
  const topics = new Map([...found].filter(([topic]) => !isOfEvents.has(topic)))
  const eventTopics = new Map([...found].filter(([topic]) => isOfEvents.has(topic)))
  return { before, catalogue, describe, eventTopics, generatedColumns, journal, state, tables, topics }
})

/** The server may refuse because of what became of the slot or the publication since it was looked at: then that is what is said. */
const whatBecameOfTheSlot = Effect.fnUntraced(function*(refused: CaptureFailure) {
  const { source } = yield* AppConfig
  const journal = yield* Journal.open(source.slot)
  const look = SlotCheck.look(CaptureState.make(source.stateSchema, source.slot), source, { journal: journal.read, tail: undefined, isReader: false })
  const found = yield* Effect.option(look)
  const refusal = Option.isSome(found) ? SlotCheck.refusalOf(found.value.state, source) : undefined
  return yield* Effect.fail(refusal ?? refused)
})

type Prepared = Effect.Success<typeof prepare>

/** Takes the first snapshot if that is still to be done, and waits for the slot. */
const takeOver = Effect.fnUntraced(function*({ before, journal, state, tables }: Prepared) {
  const { source } = yield* AppConfig
  const observer = yield* CaptureObserver
  // Its transaction must not outlive the snapshot: it holds locks, and back the vacuum.
  const snapshotScope = yield* Scope.fork(yield* Effect.scope)
  const snapshot = before.record.snapshot === "pending"
    ? yield* FirstSnapshot.begin(state, source.slot, tables, {
      epoch: before.record.epoch,
      note: Journal.keep(journal, before.entry).note
    }).pipe(Scope.provide(snapshotScope))
    : undefined
  const stream = yield* ReplicationStream.open(source, snapshot === undefined ? Effect.sync(observer.standingBy) : giveUpSnapshot(source.slot))
  return { snapshot, snapshotScope, stream }
})

type Held = Effect.Success<ReturnType<typeof takeOver>>

/** For whoever has the slot: shuts every other writer out of the topics, and only then reads where they end. */
const openOutlet = Effect.fnUntraced(function*({ before, eventTopics, journal, state, topics }: Prepared) {
  const { kafka, publish, source } = yield* AppConfig
  const outbox = yield* Outbox
  const observer = yield* CaptureObserver
  const letters = yield* CaptureDeadLetters.open(state, topics.keys())
  const written = [...topics.keys(), ...eventTopics.keys(), ...letters.topics]
  const limits = [...topics.values(), ...eventTopics.values()].map(({ maxMessageBytes }) => TooLarge.largestIn(maxMessageBytes))
  const writer = letters.through(yield* outbox.open({
    clientId: `cdc-${source.slot}`,
    fence: TopicName.fenceOfSlot(kafka.topicPrefix, source.slot),
    topics: written,
    // A batch fails whole where it is larger than its topic takes, which somebody else may have made.
    batchBytes: Math.min(publish.batchBytes, ...limits),
    compression: publish.compression,
    onAcknowledged: (batches) => watch.acknowledged(batches),
    onRetry: reportRetry(observer),
    onRecovery: Effect.andThen(Effect.sync(observer.running), Effect.logInfo("publishing goes on"))
  }))
  const tails = yield* Tails.read(written)
  const { positions, record } = yield* verifyHeld(state, journal, tails.last, before.record.epoch)
  const eventStarts = yield* EventWitness.startsOf(eventTopics, record.epoch)
  const watch = yield* TableWatch.open(new Set([...topics.keys(), ...eventStarts.keys()]))
  const sends = yield* SendAhead.make<KafkaError>()
  return { encoder: yield* encoderOf(topics, record), eventStarts, positions, record, sends, tails, watch, writer }
})

type Outlet = Effect.Success<ReturnType<typeof openOutlet>>

const encoderOf = Effect.fnUntraced(function*(topics: Prepared["topics"], record: CaptureState.CaptureRecord) {
  const { columns, kafka, publish, types } = yield* AppConfig
  return makeRecordEncoder({
    topicPrefix: kafka.topicPrefix,
    database: record.database,
    epoch: record.epoch,
    connectorVersion: version,
    partitionsOf: (topic) => topics.get(topic)?.partitions,
    compacted: (topic) => topics.get(topic)?.isCompacted ?? false,
    tombstones: publish.tombstones,
    truncates: publish.truncates,
    maxRecordBytesOf: (topic) => Math.min(publish.maxRecordBytes, TooLarge.largestIn(topics.get(topic)?.maxMessageBytes ?? Infinity)),
    types: TypeMapping.make(types),
    columns: ColumnPolicy.make(columns)
  })
})

/** The rest of the first snapshot, then for ever the stream, with re-reads beside it. */
const work = Effect.fnUntraced(function*(prepared: Prepared, { snapshot, snapshotScope, stream }: Held, outlet: Outlet) {
  const { source } = yield* AppConfig
  const { describe, state, tables } = prepared
  const { encoder, record, sends, tails, writer } = outlet
  yield* FirstSnapshot.finish({
    state, tails, epoch: record.epoch, encoder, writer, sends, snapshot, names: tables,
    describe: describe(source.tables)
  }).pipe(Scope.provide(snapshotScope))
  yield* Scope.close(snapshotScope, Exit.void)
  const reader = yield* changeReader(prepared)
  const withheld = yield* WithheldTables.open(CapturedTables.make(source.stateSchema, source.slot))
  const watermarks = Watermarks.make(yield* Postgres)
  const requested = yield* Latch.make(false)
  const sweeping = yield* sweepOf(prepared, outlet, watermarks)
  const streaming = StreamPublisher.publish({
    stream, reader, encoder, tails, writer, sends, state, watermarks, withheld,
    events: yield* eventsOf(prepared, outlet),
    requested: (slot) => slot === source.slot && requested.openUnsafe(),
    truncated: sweeping.truncated
  })
  return yield* Effect.raceFirst(streaming, rereading(prepared, outlet, { reader, requested, sweep: sweeping.sweep, watermarks, withheld }))
})

const eventsOf = Effect.fnUntraced(function*({ eventTopics }: Prepared, { eventStarts, record }: Outlet) {
  const { kafka, publish } = yield* AppConfig
  const limitOf = ({ maxMessageBytes }: Topics.Topic) => Math.min(publish.maxRecordBytes, TooLarge.largestIn(maxMessageBytes))
  return {
    topicPrefix: kafka.topicPrefix,
    epoch: record.epoch,
    topics: new Map([...eventStarts].map(([topic, from]) => {
      const found = eventTopics.get(topic)!
      return [topic, { partitions: found.partitions, maxRecordBytes: limitOf(found), from }]
    }))
  }
})

const changeReader = Effect.fnUntraced(function*({ catalogue }: Prepared) {
  const { source } = yield* AppConfig
  const selected = new Set(source.tables.map(TableName.format))
  return new ChangeReader(catalogue, (table) => selected.has(TableName.format(table)))
})

const sweepOf = Effect.fnUntraced(function*({ describe, topics }: Prepared, { encoder, sends, writer }: Outlet, watermarks: Watermarks.Watermarks) {
  const { kafka, publish, source } = yield* AppConfig
  return Sweep.make({
    rereads: Rereads.make(source.stateSchema, source.slot),
    captured: CapturedTables.make(source.stateSchema, source.slot),
    watermarks, encoder, writer, sends,
    topicPrefix: kafka.topicPrefix,
    isCompacted: (topic) => topics.get(topic)?.isCompacted ?? false,
    truncates: publish.truncates,
    describe: (table) => Effect.map(describe([table]), ([relation]) => relation)
  })
})

const rereading = Effect.fnUntraced(function*<R>(
  { generatedColumns, topics }: Prepared,
  { encoder, sends, writer }: Outlet,
  { reader, ...beside }: Pick<Reread.RereadWork<R>, "requested" | "sweep" | "watermarks" | "withheld"> & { readonly reader: ChangeReader }
) {
  const { kafka, snapshot, source } = yield* AppConfig
  return yield* Reread.work({
    ...beside, encoder, writer, sends, generatedColumns,
    rereads: Rereads.make(source.stateSchema, source.slot),
    streamed: reader.streamed,
    topicPrefix: kafka.topicPrefix,
    publication: source.publication,
    chunkBytes: snapshot.chunkBytes,
    tables: source.tables.filter((table) => topics.has(TopicName.ofTable(kafka.topicPrefix, table)))
  })
})

/**
 * While this process waited for the slot, another one read it, or somebody made it anew; and only now do the topics' ends stay. So
 * all is checked again before anything is written or confirmed.
 */
const verifyHeld = Effect.fnUntraced(function*(state: CaptureState.CaptureState, journal: Journal.Journal, tail: Position | undefined, epoch: number) {
  const { source } = yield* AppConfig
  const remembered = yield* journal.read
  const { entry, isPublicationNews, record } = yield* SlotCheck.checkHeld(state, source, { journal: Effect.succeed(remembered), tail }, epoch)
  if (remembered?.epoch !== epoch) {
    yield* Effect.logWarning(`replication slot ${source.slot} has no entry in the journal yet: taken over as it stands, at ${Lsn.format(entry.confirmed)}`)
  }
  if (isPublicationNews) yield* state.rememberPublication(yield* Postgres, entry, epoch)
  if (isPublicationNews || remembered?.epoch !== epoch || remembered.timeline !== entry.timeline) yield* journal.write(entry)
  return { record, positions: Journal.keep(journal, entry) }
})

/** Another process took the slot after we began: it reads the tables anew, and our snapshot would hold its locks while we stand by. */
const giveUpSnapshot = (slot: string) =>
  Effect.fail(new CaptureError({ reason: "interrupted", message: `Replication slot ${slot} was taken by another process before the first snapshot` }))

/** A broker that stays away is logged once, and counted each time. */
const reportRetry = (observer: CaptureObserver) => (error: KafkaError, attempt: number) =>
  Effect.andThen(
    Effect.sync(() => observer.retrying(error)),
    attempt === 1 ? Effect.logWarning(`publishing interrupted, trying until Kafka answers: ${error.message}`) : Effect.void
  )

/** The captured tables that are there. One that is gone can't be read any more, but its changes up to then are still to come. */
const presentTables = Effect.fnUntraced(function*(
  catalogue: Catalogue.Catalogue,
  names: ReadonlyArray<TableName.TableName>,
  generatedColumns: boolean
) {
  const tables: Array<Relation> = []
  for (const name of names) {
    const announced = yield* catalogue.announce(name, generatedColumns)
    if (announced === undefined) yield* Effect.logWarning(`captured table ${TableName.format(name)} is not in the database`)
    else tables.push(yield* catalogue.resolve(announced.message))
  }
  return tables
})
