import { Context } from "effect"
import type { TableGap } from "../capture/CapturedTables.ts"
import * as Metrics from "../observability/Metrics.ts"
import * as TooLarge from "../publish/TooLarge.ts"
import type { CaptureFailure } from "./CaptureFailure.ts"

/** Told what capture does, at most a few times per batch. The callbacks only note it: they neither fail nor wait. */
export interface CaptureObserver {
  /** It has the slot and its topics, and goes to work: on the snapshot, or on the stream. */
  readonly running: () => void
  /** Another process has the slot; this one waits to take over. */
  readonly standingBy: () => void
  /** Transactions that ended in a batch. */
  readonly transactions: (count: number) => void
  /** `op` as in the envelope: c, u, d, r or t. */
  readonly changes: (table: string, op: string, count: number) => void
  /** Acknowledged by Kafka; `seconds` is the whole request's, whatever topics it has. */
  readonly published: (topic: string, records: number, seconds: number) => void
  readonly snapshotRows: (table: string, rows: number) => void
  readonly snapshotTablesRemaining: (tables: number) => void
  /** Records that were too large for their topic, by what became of them (`TooLarge.ts`). */
  readonly deadLetters: (reason: string, records: number) => void
  /** All tables of which changes may be missing, each time that they were looked at; none: all is well. */
  readonly gaps: (gaps: ReadonlyArray<TableGap>) => void
  /** Topics of events that are not there, or not the same any more, each time that they were looked at. */
  readonly eventGaps: (topics: ReadonlyArray<string>) => void
  /** It failed, and will go on by itself. */
  readonly retrying: (error: CaptureFailure) => void
}

const ignore = () => {}

export const silent: CaptureObserver = {
  running: ignore,
  standingBy: ignore,
  transactions: ignore,
  changes: ignore,
  published: ignore,
  snapshotRows: ignore,
  snapshotTablesRemaining: ignore,
  deadLetters: ignore,
  gaps: ignore,
  eventGaps: ignore,
  retrying: ignore
}

/** The observer in use; where nobody gives one, nobody is told. */
export const CaptureObserver = Context.Reference<CaptureObserver>("cdc/run/CaptureObserver", { defaultValue: () => silent })

/** Counts for Prometheus. */
export const metrics = (slot: string): CaptureObserver => ({
  ...silent,
  transactions: (count) => Metrics.captured(slot, count),
  changes: Metrics.changesCaptured,
  published: (topic, records, seconds) => {
    Metrics.published(topic, records)
    Metrics.publishDuration(topic, seconds)
  },
  snapshotRows: Metrics.snapshotRows,
  snapshotTablesRemaining: Metrics.snapshotTablesRemaining,
  deadLetters: (reason, records) => Metrics.deadLetters(TooLarge.connectorName, reason, records),
  retrying: (error) => Metrics.failed("capture", "reason" in error ? error.reason : error._tag, true)
})
