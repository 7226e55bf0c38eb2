import { Effect, Exit, Scope } from "effect"
import type { CaptureState } from "../capture/CaptureState.ts"
import * as Slot from "../capture/Slot.ts"
import * as Snapshot from "../capture/Snapshot.ts"
import { CaptureError } from "../capture/CaptureError.ts"
import { type KafkaError } from "../connections/KafkaError.ts"
import { Postgres } from "../connections/Postgres.ts"
import type { PostgresError } from "../connections/PostgresError.ts"
import * as Lsn from "../domain/Lsn.ts"
import type { OutgoingRecord } from "../domain/OutgoingRecord.ts"
import type { RowChange, SnapshotMark, Tuple } from "../domain/RowChange.ts"
import * as TableName from "../domain/TableName.ts"
import type { Transaction } from "../domain/Transaction.ts"
import type { EncodeError } from "../publish/EncodeError.ts"
import type { RecordEncoder } from "../publish/RecordEncoder.ts"
import { CaptureObserver } from "./CaptureObserver.ts"
import * as Encoding from "./Encoding.ts"
import { writeObserved } from "./Outbox.ts"
import type { SendAhead } from "./SendAhead.ts"
import type { TopicWriter } from "../publish/TopicWriter.ts"

/**
 * Before the first row is read: takes the snapshot, moves the slot to its consistent point, and remembers that; all under
 * the lock of capture's row, so that of several processes one does it. undefined: another one has.
 * If this process dies in between, nothing has been published and the next one does it all again.
 */
export const begin = Effect.fnUntraced(function*(
  state: CaptureState,
  slot: string,
  tables: ReadonlyArray<TableName.TableName>,
  /** `note`: where a position is remembered before the slot moves there. */
  { epoch, note }: { readonly epoch: number; readonly note: (position: Lsn.Lsn) => Effect.Effect<void, KafkaError> }
): Effect.fn.Return<Snapshot.Snapshot | undefined, CaptureError | KafkaError | PostgresError, Postgres | Scope.Scope> {
  const postgres = yield* Postgres
  const scope = yield* Scope.fork(yield* Effect.scope)
  const snapshot = yield* Scope.provide(Snapshot.open(tables), scope)
  const began = yield* postgres.transaction((sql) =>
    Effect.gen(function*() {
      if ((yield* state.lockPhase(sql, epoch)) !== "pending") return false
      yield* note(snapshot.consistentPoint)
      const reached = yield* Slot.advance(sql, slot, snapshot.consistentPoint).pipe(
        Effect.catchIf((error) => error.code === "55006", (error) =>
          Effect.fail(new CaptureError({ reason: "interrupted", message: `${error.message}: somebody reads the slot before its first snapshot` })))
      )
      if (reached !== snapshot.consistentPoint) {
        return yield* new CaptureError({
          reason: "interrupted",
          message: `Replication slot ${slot} stands at ${Lsn.format(reached)}, not at the snapshot's ${Lsn.format(snapshot.consistentPoint)}`
        })
      }
      yield* state.startReading(sql, snapshot.consistentPoint, tables)
      return true
    })
  )
  if (began) return snapshot
  yield* Scope.close(scope, Exit.void) // who waits for the slot must not hold locks, and back the vacuum
  return undefined
})

export interface SnapshotWork {
  readonly snapshot: Snapshot.Snapshot
  /** In the order in which they are to be read; those done are left out. */
  readonly tables: ReadonlyArray<Snapshot.ReadableTable>
  /** Of the first snapshot: where the slot stands, also if rows are read under a later one. */
  readonly consistentPoint: Lsn.Lsn
  /** The highest order published so far, 0 at the beginning. */
  readonly lastOrder: number
  readonly isFirstRecord: boolean
  readonly state: CaptureState
  readonly encoder: RecordEncoder
  readonly writer: TopicWriter
  readonly sends: SendAhead<KafkaError>
}

/**
 * Reads the tables and publishes each row as `r`, at (consistent point − 1, running number): before everything that is streamed.
 * A table is done when all its reads are acknowledged. See `docs/decisions/0005-interrupted-first-snapshot.md`.
 */
export const publish = Effect.fnUntraced(function*(work: SnapshotWork): Effect.fn.Return<void, EncodeError | PostgresError, Postgres> {
  const sql = yield* Postgres
  const observer = yield* CaptureObserver
  const marker = yield* makeMarker(work)
  let order = work.lastOrder
  let remaining = work.tables.length
  for (const table of work.tables) {
    const name = table.relation
    observer.snapshotTablesRemaining(remaining--)
    yield* work.state.tableProgress(sql, name, "reading", 0)
    const rows = yield* publishTable(work, table, order, marker)
    order += rows
    yield* work.sends.flush
    yield* work.state.tableProgress(sql, name, "done", rows)
    yield* Effect.logInfo(`snapshot: ${rows} rows of ${TableName.format(name)}`)
  }
  observer.snapshotTablesRemaining(0)
})

/** Enough rows that a send is worth it. */
const recordsPerSend = 4_000

const publishTable = Effect.fnUntraced(function*(work: SnapshotWork, table: Snapshot.ReadableTable, lastOrder: number, mark: Marker) {
  const observer = yield* CaptureObserver
  const transaction: Transaction = {
    xid: 0,
    commitLsn: Lsn.Lsn(work.consistentPoint - 1n),
    commitMicros: work.snapshot.takenMicros
  }
  const chunks = yield* work.snapshot.read(table)
  let records: Array<OutgoingRecord> = []
  let count = 0
  const send = Effect.suspend(() => {
    const full = records
    records = []
    return work.sends.submit(writeObserved(work.writer, full))
  })
  // One chunk is held back, because only after it is known whether its last row is the table's last.
  let held = yield* chunks
  while (held.length > 0) {
    const next = yield* chunks
    const changes = readsOf(held, table, transaction, lastOrder, count, (nth, isEnd) => mark(table, nth, isEnd && next.length === 0))
    yield* Encoding.encode(work.encoder, changes, records)
    count += held.length
    observer.snapshotRows(TableName.format(table.relation), held.length)
    if (records.length >= recordsPerSend) yield* send
    held = next
  }
  yield* send
  return count
})

const readsOf = (
  rows: ReadonlyArray<Tuple>,
  { relation }: Snapshot.ReadableTable,
  transaction: Transaction,
  lastOrder: number,
  before: number,
  mark: (nth: number, isEnd: boolean) => SnapshotMark
): ReadonlyArray<RowChange> =>
  rows.map((after, index): RowChange => ({
    kind: "read",
    relation,
    transaction,
    order: lastOrder + before + index + 1,
    collectionOrder: before + index + 1,
    after,
    mark: mark(before + index, index === rows.length - 1)
  }))

/** The mark of a table's `nth` row (from 0). */
type Marker = (table: Snapshot.ReadableTable, nth: number, isLastOfTable: boolean) => SnapshotMark

/** The whole snapshot's first and last row are known beforehand, by asking which tables hold any. */
const makeMarker = Effect.fnUntraced(function*({ isFirstRecord, snapshot, tables }: SnapshotWork): Effect.fn.Return<Marker, PostgresError> {
  const filled: Array<Snapshot.ReadableTable> = []
  for (const table of tables) if (!(yield* snapshot.isEmpty(table))) filled.push(table)
  const first = isFirstRecord ? filled[0] : undefined
  const last = filled.at(-1)
  return (table, nth, isLastOfTable) => {
    if (isLastOfTable) return table === last ? "last" : nth === 0 && table === first ? "first" : "last_in_data_collection"
    if (nth > 0) return "true"
    return table === first ? "first" : "first_in_data_collection"
  }
})
