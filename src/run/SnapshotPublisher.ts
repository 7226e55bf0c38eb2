import { Clock, Effect, Queue } from "effect"
import type { CaptureState } from "../capture/CaptureState.ts"
import type * as Snapshot from "../capture/Snapshot.ts"
import type { Piece, TablePlan } from "../capture/SnapshotPlan.ts"
import type { SnapshotTable } from "../capture/SnapshotTables.ts"
import { AppConfig } from "../Config.ts"
import type { KafkaError } from "../connections/KafkaError.ts"
import type { Postgres } from "../connections/Postgres.ts"
import type { PostgresError } from "../connections/PostgresError.ts"
import * as Lsn from "../domain/Lsn.ts"
import type { OutgoingRecord } from "../domain/OutgoingRecord.ts"
import type { Relation, RowChange, Tuple } from "../domain/RowChange.ts"
import * as TableName from "../domain/TableName.ts"
import type { Transaction } from "../domain/Transaction.ts"
import type { EncodeError } from "../publish/EncodeError.ts"
import type { RecordEncoder } from "../publish/RecordEncoder.ts"
import type { TopicWriter } from "../publish/TopicWriter.ts"
import { CaptureObserver } from "./CaptureObserver.ts"
import * as Encoding from "./Encoding.ts"
import { writeObserved } from "./Outbox.ts"
import type { SendAhead } from "./SendAhead.ts"
import { SnapshotMarks } from "./SnapshotMarks.ts"
import * as SnapshotNotes from "./SnapshotNotes.ts"
import { type PublishedRows, SnapshotProgress } from "./SnapshotProgress.ts"

export interface SnapshotWork {
  readonly snapshot: Snapshot.Snapshot
  /** In the order in which they are to be read; those done are left out. */
  readonly relations: ReadonlyArray<Relation>
  /** Those done, by an earlier process. */
  readonly before: ReadonlyArray<SnapshotTable>
  /** Of the first snapshot: where the slot stands, also if rows are read under a later one. */
  readonly consistentPoint: Lsn.Lsn
  /** The highest order published so far, 0 at the beginning. */
  readonly lastOrder: number
  readonly isFirstRecord: boolean
  readonly epoch: number
  readonly state: CaptureState
  readonly encoder: RecordEncoder
  readonly writer: TopicWriter
  readonly sends: SendAhead<KafkaError>
}

/**
 * Reads the tables and publishes each row as `r`, at (consistent point − 1, running number): before everything that is streamed.
 * The snapshot's readers read side by side, piece by piece; the rows are numbered as they are encoded, by one publisher. A table is
 * done when all its reads are acknowledged. See `docs/decisions/0005-interrupted-first-snapshot.md`.
 *
 * Memory holds a batch being sent, one being made, and a few chunks per reader: readers wait while the publisher is behind.
 */
export const publish = Effect.fnUntraced(function*(
  work: SnapshotWork
): Effect.fn.Return<void, EncodeError | PostgresError, AppConfig | Postgres> {
  const { snapshot: { pieceBytes } } = yield* AppConfig
  const { plan, readers } = work.snapshot
  const plans = yield* plan(work.relations, pieceBytes)
  const progress = new SnapshotProgress(work.before, plans, yield* Clock.currentTimeMillis)
  const observer = yield* CaptureObserver
  observer.snapshotTablesRemaining(plans.length)
  const chunks = yield* Queue.bounded<PieceChunk>(readers.length * chunksPerReader)
  const pieces = plans.flatMap(({ pieces }) => pieces).values()
  yield* SnapshotNotes.during(
    work.state,
    work.epoch,
    progress,
    Effect.all(
      [publishChunks(work, plans, chunks, progress), ...readers.map((reader) => readPieces(reader, pieces, chunks))],
      { concurrency: "unbounded", discard: true }
    )
  )
})

/** Enough that a reader does not wait for the publisher's turn, and little memory: a chunk is some dozens of kilobytes. */
const chunksPerReader = 2

/** Enough that a send is worth it. */
const recordsPerSend = 4_000

/** Of wide rows fewer: as many batches of bytes, as they come from Postgres, as fill a request when they are envelopes. */
const batchesPerSend = 2

/** Rows of a piece; empty: there are no more. */
interface PieceChunk extends Snapshot.Chunk {
  readonly piece: Piece
}

/** Until no piece is left. */
const readPieces = Effect.fnUntraced(function*(reader: Snapshot.SnapshotReader, pieces: Iterator<Piece>, to: Queue.Enqueue<PieceChunk>) {
  for (let next = pieces.next(); next.done !== true; next = pieces.next()) {
    const piece = next.value
    const nextChunk = yield* reader.read(piece)
    let chunk: Snapshot.Chunk
    do {
      chunk = yield* nextChunk
      yield* Queue.offer(to, { ...chunk, piece })
    } while (chunk.rows.length > 0)
  }
})

/** Records to be sent at once, and what they mean for the progress once they are acknowledged. */
class Batch implements PublishedRows {
  readonly records: Array<OutgoingRecord> = []
  readonly rows = new Map<Relation, number>()
  readonly pieces: Array<{ readonly piece: Piece; readonly rows: number }> = []
  readonly tables: Array<Relation> = []
  bytes = 0

  isFull(batchBytes: number): boolean {
    return this.records.length >= recordsPerSend || this.bytes >= batchBytes * batchesPerSend
  }
}

/** Until all tables have ended and everything is acknowledged. */
const publishChunks = Effect.fnUntraced(function*(
  work: SnapshotWork,
  plans: ReadonlyArray<TablePlan>,
  chunks: Queue.Dequeue<PieceChunk>,
  progress: SnapshotProgress
) {
  const { publish: { batchBytes } } = yield* AppConfig
  const numbering = new Numbering(work)
  const piecesLeft = new Map(plans.map(({ pieces, relation }) => [relation, pieces.length]))
  const pieceRows = new Map<Piece, number>()
  let batch = new Batch()
  const encode = Effect.suspend(() => {
    const { changes, tablesDone } = numbering.take()
    batch.tables.push(...tablesDone)
    for (const { relation } of changes) batch.rows.set(relation, (batch.rows.get(relation) ?? 0) + 1)
    return Encoding.encode(work.encoder, changes, batch.records)
  })
  const send = Effect.suspend(() => {
    const full = batch
    batch = new Batch()
    const giveBack = work.encoder.cutMemory()
    return work.sends.submit(writeObserved(work.writer, full.records).pipe(
      Effect.andThen(Effect.sync(giveBack)),
      Effect.andThen(acknowledged(full, progress))
    ))
  })
  while (piecesLeft.size > 0) {
    const { bytes, piece, rows } = yield* Queue.take(chunks)
    const { relation } = piece
    progress.begun(relation, yield* Clock.currentTimeMillis)
    numbering.marks.rows(relation, rows)
    batch.bytes += bytes
    pieceRows.set(piece, (pieceRows.get(piece) ?? 0) + rows.length)
    if (rows.length === 0) {
      batch.pieces.push({ piece, rows: pieceRows.get(piece)! })
      pieceRows.delete(piece)
      const left = piecesLeft.get(relation)! - 1
      piecesLeft.set(relation, left)
      if (left === 0) {
        piecesLeft.delete(relation)
        numbering.marks.endTable(relation)
      }
    }
    yield* encode
    if (batch.isFull(batchBytes)) yield* send
  }
  numbering.marks.end()
  yield* encode
  yield* send
  yield* work.sends.flush
})

/** Gives the rows their marks and numbers, in the order in which they are published. */
class Numbering {
  readonly marks: SnapshotMarks<Relation, Tuple>
  #changes: Array<RowChange> = []
  #tablesDone: Array<Relation> = []

  constructor({ consistentPoint, isFirstRecord, lastOrder, snapshot }: SnapshotWork) {
    const transaction: Transaction = { xid: 0, commitLsn: Lsn.Lsn(consistentPoint - 1n), commitMicros: snapshot.takenMicros }
    let order = lastOrder
    this.marks = new SnapshotMarks(isFirstRecord, {
      row: (relation, after, collectionOrder, mark) =>
        this.#changes.push({ kind: "read", relation, transaction, order: ++order, collectionOrder, after, mark }),
      tableDone: (relation) => this.#tablesDone.push(relation)
    })
  }

  /** What has come out since the last call. */
  take(): { readonly changes: ReadonlyArray<RowChange>; readonly tablesDone: ReadonlyArray<Relation> } {
    const taken = { changes: this.#changes, tablesDone: this.#tablesDone }
    this.#changes = []
    this.#tablesDone = []
    return taken
  }
}

const acknowledged = Effect.fnUntraced(function*(batch: Batch, progress: SnapshotProgress) {
  const observer = yield* CaptureObserver
  progress.acknowledged(batch, yield* Clock.currentTimeMillis)
  for (const [relation, rows] of batch.rows) observer.snapshotRows(TableName.format(relation), rows)
  if (batch.tables.length === 0) return
  observer.snapshotTablesRemaining(progress.tablesRemaining)
  for (const relation of batch.tables) {
    yield* Effect.logInfo(`snapshot: ${progress.rowsOf(relation).toLocaleString("en-US")} rows of ${TableName.format(relation)}`)
  }
})
