import { Effect, type Scope } from "effect"
import type { CaptureError } from "../capture/CaptureError.ts"
import type { CaptureState } from "../capture/CaptureState.ts"
import type { ChangeReader, Commit } from "../capture/ChangeReader.ts"
import * as Rereads from "../capture/Rereads.ts"
import type { ReplicationStream } from "../capture/ReplicationStream.ts"
import type { KafkaError } from "../connections/KafkaError.ts"
import { Postgres } from "../connections/Postgres.ts"
import type { PostgresError } from "../connections/PostgresError.ts"
import type { OutgoingRecord } from "../domain/OutgoingRecord.ts"
import * as Position from "../domain/Position.ts"
import type { Relation, RowChange } from "../domain/RowChange.ts"
import * as TableName from "../domain/TableName.ts"
import type { RecordEncoder } from "../publish/RecordEncoder.ts"
import { bytesOf } from "../publish/SendPlan.ts"
import type { Tails } from "../publish/Tails.ts"
import type { TopicWriter } from "../publish/TopicWriter.ts"
import { CaptureObserver } from "./CaptureObserver.ts"
import * as Encoding from "./Encoding.ts"
import { writeObserved } from "./Outbox.ts"
import type { SendAhead } from "./SendAhead.ts"
import * as StreamedEvents from "./StreamedEvents.ts"
import type { Watermarks } from "./Watermarks.ts"
import type { WithheldTables } from "./WithheldTables.ts"

export interface StreamWork {
  readonly stream: ReplicationStream
  readonly reader: ChangeReader
  readonly encoder: RecordEncoder
  readonly events: StreamedEvents.EventOptions
  /** Read after the slot was taken: what they hold is not written again. */
  readonly tails: Tails
  readonly writer: TopicWriter
  readonly sends: SendAhead<KafkaError>
  readonly state: CaptureState
  readonly watermarks: Watermarks
  readonly withheld: WithheldTables
  /** Told of tables whose TRUNCATE Kafka has acknowledged, before that is confirmed to the slot: it is told again if it fails. */
  readonly truncated: (tables: ReadonlyArray<Relation>) => Effect.Effect<void, PostgresError, Postgres>
  /** Told of the slots for which somebody has asked for a re-read. */
  readonly requested: (slot: string) => unknown
}

/**
 * Publishes the stream for ever. While one send is under way the next is decoded and encoded, a little at a time, until it is large or nothing more is there. At a watermark it stands still, with
 * everything before acknowledged, until what is to be done there is done.
 */
export const publish = Effect.fnUntraced(function*(
  work: StreamWork
): Effect.fn.Return<never, CaptureError | PostgresError, Postgres | Scope.Scope> {
  const observer = yield* CaptureObserver
  const progress = yield* recordProgress(work.state)
  const withoutHeld = dropHeld(work.tails)
  const events = StreamedEvents.make(work.events)
  /** With the events up to here. */
  const recordsOf = Effect.fnUntraced(function*(changes: ReadonlyArray<RowChange>) {
    const { encoded, published } = yield* encodePublishable(work, changes)
    work.watermarks.passed(published, encoded)
    Encoding.count(published, (change, op, count) => observer.changes(TableName.format(change.relation), op, count))
    const told = events.take()
    return withoutHeld(told.length === 0 ? encoded : [...encoded, ...told])
  })
  let unsent = new Unsent()
  const submit = Effect.suspend(() => {
    const { lastChange, lastCommit, records } = unsent
    unsent = new Unsent()
    const giveBack = work.encoder.cutMemory()
    return work.sends.submit(Effect.tap(writeObserved(work.writer, records), () =>
      Effect.sync(() => {
        giveBack()
        acknowledged(work.stream, lastCommit, lastChange, progress)
      })))
  })
  for (;;) {
    const messages = yield* work.stream.take
    const { changes, commits, lastCommit, marks } = yield* work.reader.read(messages)
    let sent = 0
    for (const mark of marks) {
      events.add(mark)
      if (mark.prefix === Rereads.requestPrefix) work.requested(mark.content)
      const action = work.watermarks.actionAt(mark)
      if (action === undefined) continue
      unsent.add(yield* recordsOf(changes.slice(sent, mark.changesBefore)))
      sent = mark.changesBefore
      yield* submit
      yield* work.sends.flush
      yield* action
    }
    unsent.add(yield* recordsOf(sent === 0 ? changes : changes.slice(sent)))
    yield* events.report
    observer.transactions(commits)
    const truncated = work.withheld.publishable(changes).filter(({ kind }) => kind === "truncate")
    if (truncated.length > 0) {
      yield* submit
      yield* work.sends.flush
      yield* work.truncated(truncated.map(({ relation }) => relation))
    }
    unsent.end(changes, lastCommit)
    if (truncated.length > 0 || unsent.bytes >= sendBytes || !work.stream.hasMore()) yield* submit
  }
})

/** Of records: enough for one request, and little beside the rest of the process. */
const sendBytes = 2_097_152

/** What was encoded since the last send. The changes that it was made of are forgotten at once: they cost more than their records. */
class Unsent {
  readonly records: Array<OutgoingRecord> = []
  bytes = 0
  lastChange: RowChange | undefined
  lastCommit: Commit | undefined

  add(records: ReadonlyArray<OutgoingRecord>): void {
    for (const record of records) {
      this.records.push(record)
      this.bytes += bytesOf(record)
    }
  }

  /** All of these changes are in it, and everything up to this commit. */
  end(changes: ReadonlyArray<RowChange>, lastCommit: Commit | undefined): void {
    this.lastChange = changes.at(-1) ?? this.lastChange
    this.lastCommit = lastCommit ?? this.lastCommit
  }
}

/**
 * A change that can't become a record is its table's gap. That is noted before anything of the stretch is sent, and so before the change is
 * confirmed to the slot; the stretch is encoded anew, without the table.
 */
const encodePublishable = (
  work: Pick<StreamWork, "encoder" | "withheld">,
  changes: ReadonlyArray<RowChange>
): Effect.Effect<{ readonly published: ReadonlyArray<RowChange>; readonly encoded: Array<OutgoingRecord> }, PostgresError, Postgres> =>
  Effect.suspend(() => {
    const published = work.withheld.publishable(changes)
    const encoded: Array<OutgoingRecord> = []
    return Encoding.encode(work.encoder, published, encoded).pipe(
      Effect.as({ published, encoded }),
      Effect.catch((error) => Effect.andThen(work.withheld.withhold(error), encodePublishable(work, changes)))
    )
  })

/**
 * The only place where the slot's position moves because of a commit: sends are done one after the other, so everything up
 * to this commit is acknowledged.
 */
const acknowledged = (
  stream: ReplicationStream,
  lastCommit: Commit | undefined,
  lastChange: RowChange | undefined,
  progress: Progress
): void => {
  progress.hasRows ||= lastChange !== undefined
  if (lastCommit === undefined) return
  stream.confirm(lastCommit.endLsn)
  // A transaction without rows of ours is not noted: noting makes such a transaction itself, and so on for ever.
  if (progress.hasRows) progress.unrecorded = lastCommit
  progress.hasRows = lastChange !== undefined && lastChange.transaction.commitLsn > lastCommit.commitLsn
}

interface Progress {
  /** The last published commit, until it is recorded. */
  unrecorded: Commit | undefined
  /** There are published rows whose commit is still to come. */
  hasRows: boolean
}

/** Notes in Postgres what is published, once a second while there is anything, and at the end: a copy for people to look at. */
const recordProgress = Effect.fnUntraced(function*(state: CaptureState): Effect.fn.Return<Progress, never, Postgres | Scope.Scope> {
  const sql = yield* Postgres
  const progress: Progress = { unrecorded: undefined, hasRows: false }
  const record = Effect.suspend(() => {
    const commit = progress.unrecorded
    progress.unrecorded = undefined
    return commit === undefined ? Effect.void : state.published(sql, commit.commitMicros, commit.endLsn)
  }).pipe(Effect.catch((error) => Effect.logDebug(`progress not noted: ${error.message}`)))
  yield* Effect.addFinalizer(() => Effect.ignore(Effect.timeout(record, "1 second")))
  yield* Effect.forkScoped(Effect.forever(Effect.andThen(Effect.sleep("1 second"), record)))
  return progress
})

/**
 * Nothing is held twice past the transaction of the furthest end of all partitions, so beyond it nothing is looked up. Rows and events of
 * one transaction are counted apart, so within it no order says what is still to come; and those of one stretch are looked up together.
 */
const dropHeld = (tails: Tails) => {
  let last = tails.last
  return (records: ReadonlyArray<OutgoingRecord>): ReadonlyArray<OutgoingRecord> => {
    if (last === undefined || records.length === 0) return records
    const missing = records.filter((record) => !tails.holds(record))
    if (Position.isInLaterTransaction(records.at(-1)!.position, last)) last = undefined
    return missing
  }
}
