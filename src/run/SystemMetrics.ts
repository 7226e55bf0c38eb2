import { Effect } from "effect"
import { pipelineOf } from "../materialize/Generation.ts"
import * as Metrics from "../observability/Metrics.ts"
import type { SystemStatus } from "../observability/SystemStatus.ts"
import type { SystemReading } from "./SystemReading.ts"
import { isWorkedOn, recordsBehind } from "./SystemStatus.ts"

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
    for (const { name, replay } of pipelines) Metrics.replay(name, replay)
    for (const { name, openDeadLetters, suspectRows } of pipelines) Metrics.openDeadLetters(name, openDeadLetters, suspectRows)
    // A series per generation would stay behind, at its last lag, when that one has gone.
    const modes = Object.fromEntries(pipelines.map(({ mode, name }) => [name, mode]))
    for (const offset of reading.offsets) {
      if (!isWorkedOn(offset.pipeline, modes)) continue
      Metrics.pipelineLag(pipelineOf(offset.pipeline), offset.topic, offset.partition, recordsBehind([offset], reading.ends))
    }
  })
