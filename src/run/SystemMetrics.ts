import { Effect } from "effect"
import * as Metrics from "../observability/Metrics.ts"
import type { SystemStatus } from "../observability/SystemStatus.ts"
import type { SystemReading } from "./SystemReading.ts"
import { recordsBehind } from "./SystemStatus.ts"

/** The gauges that are read, not counted: each scrape brings them up to date. */
export const record = (reading: SystemReading, { capture, pipelines, snapshot }: SystemStatus): Effect.Effect<void> =>
  Effect.sync(() => {
    Metrics.replication({
      name: capture.slot,
      connected: reading.wal.slot?.active === true,
      walStatus: reading.wal.slot?.walStatus ?? "missing",
      lagBytes: capture.lagBytes,
      retainedWalBytes: capture.retainedWalBytes,
      lagSeconds: capture.lagSeconds ?? 0
    })
    Metrics.snapshotTablesRemaining(snapshot.tables.length - snapshot.tablesDone)
    for (const { name, otherWrites } of pipelines) Metrics.otherWrites(name, otherWrites)
    for (const { name, openDeadLetters, suspectRows } of pipelines) Metrics.openDeadLetters(name, openDeadLetters, suspectRows)
    for (const offset of reading.offsets) {
      Metrics.pipelineLag(offset.pipeline, offset.topic, offset.partition, recordsBehind([offset], reading.ends))
    }
  })
