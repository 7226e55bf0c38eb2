import { Effect, Schedule } from "effect"
import * as ChunkReader from "../capture/ChunkReader.ts"
import type { Bounds, Reread, Rereads } from "../capture/Rereads.ts"
import * as OpenWriters from "../capture/OpenWriters.ts"
import type { StreamedXids } from "../capture/StreamedXids.ts"
import { Kafka } from "../connections/Kafka.ts"
import type { KafkaError } from "../connections/KafkaError.ts"
import { Postgres } from "../connections/Postgres.ts"
import { PostgresError } from "../connections/PostgresError.ts"
import { Lsn } from "../domain/Lsn.ts"
import type { OutgoingRecord } from "../domain/OutgoingRecord.ts"
import type { RowChange, Tuple } from "../domain/RowChange.ts"
import * as TableName from "../domain/TableName.ts"
import * as TopicName from "../domain/TopicName.ts"
import type { Transaction } from "../domain/Transaction.ts"
import type { RecordEncoder } from "../publish/RecordEncoder.ts"
import type { TopicWriter } from "../publish/TopicWriter.ts"
import { CaptureObserver } from "./CaptureObserver.ts"
import * as Encoding from "./Encoding.ts"
import { writeObserved } from "./Outbox.ts"
import type { SendAhead } from "./SendAhead.ts"
import { Untouched } from "./Untouched.ts"
import type { Watermarks } from "./Watermarks.ts"
import type { WithheldTables } from "./WithheldTables.ts"

/** What a session of capture re-reads with. */
export interface RereadTools {
  readonly rereads: Rereads
  readonly watermarks: Watermarks
  readonly withheld: WithheldTables
  /** What the session's stream has brought. */
  readonly streamed: StreamedXids
  readonly encoder: RecordEncoder
  readonly writer: TopicWriter
  readonly sends: SendAhead<KafkaError>
  readonly topicPrefix: string
  readonly publication: string
  readonly generatedColumns: boolean
  readonly chunkBytes: number
}

/** Reads one table again, from where its re-read stands to its end. See `docs/decisions/0009-re-reads.md`. */
export const readTable = Effect.fnUntraced(function*(tools: RereadTools, reread: Reread) {
  const sql = yield* Postgres
  const { chunkBytes: bytes, generatedColumns, publication, rereads } = tools
  const { condition, table } = reread
  yield* OpenWriters.awaitEnd(sql, table, (count) =>
    rereads.delayed(sql, reread, `waits for ${count} transactions that wrote to the table before`))
  const reader = yield* ChunkReader.open({ table, condition, publication, generatedColumns, bytes })
  let place = placeOf(reread)
  for (let isLast = false; !isLast;) {
    const from = place
    const chunk = yield* Effect.retry(
      Effect.tapError(publishChunk(tools, reread, reader, from), (error) => rereads.delayed(sql, reread, error.message)),
      { while: (error) => error._tag === "PostgresError" && error.reason === "contended", schedule: pauses }
    )
    if (chunk === undefined) {
      place = undefined // its key was changed: from the beginning, under the new one
      continue
    }
    if (chunk.lastKey !== undefined) {
      yield* rereads.advanced(sql, reread, chunk.lastKey, chunk.published)
      place = { keyColumns: chunk.keyColumns, lastKey: chunk.lastKey }
    }
    isLast = chunk.isLast
  }
  yield* rereads.allRead(sql, reread)
}, Effect.scoped)

/** A lock is gone in a moment, a standby may be away for long. */
const pauses = Schedule.min([Schedule.exponential("100 millis"), Schedule.spaced("5 seconds")])

const placeOf = ({ keyColumns, lastKey }: Reread): ChunkReader.Place | undefined =>
  keyColumns === undefined || lastKey === undefined ? undefined : { keyColumns, lastKey }

/**
 * Between two watermarks: at the low one it begins to watch what the stream touches, then it reads, and at the high one it publishes what
 * was not touched. A row that was touched has its later value in the stream, before the high watermark or after. undefined: the key is not
 * the one of `from` any more, which so is no place in the table.
 */
const publishChunk = Effect.fnUntraced(function*(
  tools: RereadTools,
  reread: Reread,
  reader: ChunkReader.ChunkReader,
  from: ChunkReader.Place | undefined
) {
  const { encoder, streamed, watermarks } = tools
  const topic = TopicName.ofTable(tools.topicPrefix, reread.table)
  const untouched = new Untouched()
  let stop = () => {}
  return yield* Effect.gen(function*() {
    const low = yield* watermarks.at((lsn, transactions) =>
      Effect.gen(function*() {
        if (from === undefined && reread.reason === "gapped") yield* tools.withheld.publishFrom(reread.table, lsn)
        // Before the watch begins: the record of a row that is touched, and so not published again, must not pass for an old one.
        const bounds = from === undefined && reread.sweep ? yield* endsOf(topic) : undefined
        stop = watermarks.watch(reread.table, topic, untouched)
        return { bounds, transactions }
      }))
    const chunk = yield* reader.read(from)
    if (from !== undefined && !ChunkReader.isBehind(chunk, from)) return undefined
    if (streamed.anyHidden(low.transactions, chunk.visible)) {
      return yield* again(reread, "a transaction that is published already can't be seen yet; is a synchronous standby away?")
    }
    yield* Encoding.attempt(() => untouched.fill(chunk, (row) => encoder.key(chunk.relation, row)!))
    if (from === undefined) yield* tools.rereads.begun(yield* Postgres, reread, chunk.keyColumns, low.bounds)
    const published = yield* watermarks.at((lsn) => {
      stop()
      const rows = untouched.rows
      return rows === undefined ? Effect.undefined : publish(tools, chunk, rows, lsn)
    })
    if (published === undefined) return yield* again(reread, "the table's key was changed meanwhile, or very much was written")
    return { ...chunk, published }
  }).pipe(Effect.ensuring(Effect.sync(() => stop())))
})

const again = ({ table }: Reread, why: string) =>
  Effect.fail(new PostgresError({ reason: "contended", code: "55000", message: `A part of ${TableName.format(table)} is read once more: ${why}` }))

/** Where the partitions end: what lies before is older than the re-read that begins. */
const endsOf = Effect.fnUntraced(function*(topic: string): Effect.fn.Return<Bounds, KafkaError, Kafka> {
  const kafka = yield* Kafka
  const ends = yield* kafka.admin(`Reading the ends of topic ${topic}`, (admin) => admin.fetchTopicOffsets(topic))
  return new Map(ends.map(({ high, partition }) => [partition, BigInt(high)]))
})

/** At the high watermark, with the stream held: one position below it, numbered. */
const publish = Effect.fnUntraced(function*(tools: RereadTools, chunk: ChunkReader.Chunk, rows: ReadonlyArray<Tuple>, lsn: Lsn) {
  const observer = yield* CaptureObserver
  const transaction: Transaction = { xid: 0, commitLsn: Lsn(lsn - 1n), commitMicros: chunk.takenMicros }
  const changes = rows.map((after, index): RowChange =>
    ({ kind: "read", relation: chunk.relation, transaction, order: index + 1, collectionOrder: index + 1, after, mark: "incremental" }))
  const records: Array<OutgoingRecord> = []
  yield* Encoding.encode(tools.encoder, changes, records)
  yield* tools.sends.submit(writeObserved(tools.writer, records))
  yield* tools.sends.flush
  observer.snapshotRows(TableName.format(chunk.relation), rows.length)
  return rows.length
})
