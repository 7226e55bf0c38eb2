import { Effect } from "effect"
import { CaptureError } from "../capture/CaptureError.ts"
import type { CapturedTables } from "../capture/CapturedTables.ts"
import type { Bounds, Reread, Rereads } from "../capture/Rereads.ts"
import type { Kafka } from "../connections/Kafka.ts"
import type { KafkaError } from "../connections/KafkaError.ts"
import { Postgres } from "../connections/Postgres.ts"
import type { PostgresError } from "../connections/PostgresError.ts"
import { Lsn } from "../domain/Lsn.ts"
import type { OutgoingRecord } from "../domain/OutgoingRecord.ts"
import type { Relation } from "../domain/RowChange.ts"
import * as TableName from "../domain/TableName.ts"
import * as TopicName from "../domain/TopicName.ts"
import type { Transaction } from "../domain/Transaction.ts"
import type { RecordEncoder } from "../publish/RecordEncoder.ts"
import * as SweepCandidates from "../publish/SweepCandidates.ts"
import * as TopicScan from "../publish/TopicScan.ts"
import type { TopicWriter } from "../publish/TopicWriter.ts"
import { writeObserved } from "./Outbox.ts"
import type { SendAhead } from "./SendAhead.ts"
import type { Watermarks } from "./Watermarks.ts"

/** What a session of capture sweeps with. */
export interface SweepTools {
  readonly rereads: Rereads
  readonly captured: CapturedTables
  readonly watermarks: Watermarks
  readonly encoder: RecordEncoder
  readonly writer: TopicWriter
  readonly sends: SendAhead<KafkaError>
  readonly topicPrefix: string
  /** A topic that is not compacted keeps what it has for a while, whatever is deleted. */
  readonly isCompacted: (topic: string) => boolean
  /** Whether a TRUNCATE is on the topics at all. */
  readonly truncates: boolean
  /** The table as it is now; undefined: there is none. */
  readonly describe: (table: TableName.TableName) => Effect.Effect<Relation | undefined, PostgresError>
}

export type SweepFailure = CaptureError | KafkaError | PostgresError

export interface Sweep {
  /**
   * Deletes from a table's topic the keys that the table has no more although nothing in the stream says so: those whose last record is
   * of a row, and older than the re-read; after a TRUNCATE, those that stand before its `t`. A gap that was the reason is
   * over then. May be interrupted anywhere and done again.
   */
  readonly sweep: (reread: Reread) => Effect.Effect<void, SweepFailure, Kafka | Postgres>
  /** The `t` of these tables are acknowledged. Once it succeeds, their sweep will be done, also by another process. */
  readonly truncated: (tables: ReadonlyArray<Relation>) => Effect.Effect<void, PostgresError, Postgres>
}

/** How many keys are deleted while the stream waits: some tens of milliseconds. */
const keysPerWatermark = 2_000
/** How far a scan may be behind when the stream is stopped for it: some tens of milliseconds, too. */
const recordsPerWatermark = 4_000n

export const make = (tools: SweepTools): Sweep => {
  const { captured, rereads } = tools
  const topicOf = (table: TableName.TableName) => TopicName.ofTable(tools.topicPrefix, table)
  /** It may have read past a `t` that comes now. */
  let current: bigint | undefined

  const isSwept = (relation: Relation) => relation.key.length > 0 && tools.isCompacted(topicOf(relation))

  const sweep = Effect.fnUntraced(function*(reread: Reread) {
    const relation = yield* tools.describe(reread.table)
    if (relation === undefined) return yield* tableGone(reread.table)
    if (isSwept(relation)) yield* Effect.scoped(sweepTopic(tools, reread, relation, topicOf(relation)))
    if (reread.reason === "gapped") yield* captured.mended(yield* Postgres, reread.table, reread.id)
  })

  return {
    sweep: (reread) => Effect.suspend(() => {
      current = reread.id
      return sweep(reread)
    }),

    truncated: Effect.fnUntraced(function*(tables) {
      const sql = yield* Postgres
      for (const table of tables) {
        if (!tools.truncates || !isSwept(table)) continue
        const waits = (yield* rereads.list(sql)).some(({ id, reason, state, table: other }) =>
          reason === "truncated" && state === "sweeping" && id !== current && TableName.format(other) === TableName.format(table))
        if (!waits) yield* rereads.request(sql, { table: TableName.TableName(table.schema, table.table), sweep: true, reason: "truncated", state: "sweeping" })
      }
    })
  }
}

const tableGone = (table: TableName.TableName) =>
  new CaptureError({ reason: "unsuitable", message: `${TableName.format(table)} is not in the database any more: its topic stays as it is` })

/**
 * Capture is the only writer of a topic, so that the topic itself says what was touched: candidates are the keys whose last record is
 * old, and whatever has a later record when the stream stands still at a watermark is one no more. No key needs to be looked up in the
 * table. See `docs/decisions/0010-sweep-by-the-topic.md`.
 */
const sweepTopic = Effect.fnUntraced(function*(tools: SweepTools, reread: Reread, relation: Relation, topic: string) {
  const sql = yield* Postgres
  const scan = yield* TopicScan.open(topic)
  const candidates = yield* SweepCandidates.open
  yield* reread.bounds === undefined ? collectTruncated(scan, candidates) : collect(scan, candidates, reread.bounds)

  const catchUp = scan.toEnd(candidates.drop)
  let last: Buffer | undefined
  for (;;) {
    if ((yield* candidates.after(last, 1)).length === 0) return
    // Outside of the watermark as far as possible: a writer that is faster than this is held up a little longer.
    for (let round = 0; round < 10 && (yield* scan.behind) > recordsPerWatermark; round++) yield* catchUp
    const swept = yield* tools.watermarks.at((lsn) =>
      Effect.gen(function*() {
        yield* catchUp
        const keys = yield* candidates.after(last, keysPerWatermark)
        return { last: keys.at(-1)?.key, deleted: yield* publish(tools, relation, keys, lsn) }
      }))
    last = swept.last ?? last
    yield* tools.rereads.swept(sql, reread, swept.deleted)
  }
})

/** Keys whose last record lies before its partition's bound. */
const collect = (scan: TopicScan.TopicScan, candidates: SweepCandidates.SweepCandidates, bounds: Bounds) =>
  scan.toEnd((records) => {
    const isOld = ({ offset, partition }: TopicScan.ScannedRecord) => offset < (bounds.get(partition) ?? 0n)
    return Effect.andThen(candidates.keep(records.filter(isOld)), candidates.drop(records.filter((record) => !isOld(record))))
  })

/** Keys whose last record stands before the last `t` of its partition. */
const collectTruncated = Effect.fnUntraced(function*(scan: TopicScan.TopicScan, candidates: SweepCandidates.SweepCandidates) {
  const truncated = new Map<number, bigint>()
  yield* scan.toEnd((records) => {
    for (const { fate, offset, partition } of records) if (fate === "truncate") truncated.set(partition, offset)
    return candidates.keep(records)
  })
  yield* candidates.boundTo(truncated)
})

/** At a watermark, with the stream held: one position below it, numbered. Returns of how many keys. */
const publish = Effect.fnUntraced(function*(tools: SweepTools, relation: Relation, keys: ReadonlyArray<SweepCandidates.SweptKey>, lsn: Lsn) {
  const transaction: Transaction = { xid: 0, commitLsn: Lsn(lsn - 1n), commitMicros: BigInt(Date.now()) * 1_000n }
  const records: Array<OutgoingRecord> = []
  let deleted = 0
  for (const [index, key] of keys.entries()) if (tools.encoder.sweep(relation, key, transaction, index + 1, records)) deleted++
  yield* tools.sends.submit(writeObserved(tools.writer, records))
  yield* tools.sends.flush
  if (deleted < keys.length) {
    yield* Effect.logWarning("keys stay in their topic, though the table may have them no more: a row under so large a key does not fit the topic, so nothing tells", {
      table: TableName.format(relation), count: keys.length - deleted
    })
  }
  return deleted
})
