import type { AppConfig, PipelineMode } from "../Config.ts"
import * as Lsn from "../domain/Lsn.ts"
import { remakeEvents } from "../domain/Remedy.ts"
import * as TableName from "../domain/TableName.ts"
import type {
  CaptureState,
  CaptureStatus,
  PipelineState,
  PipelineStatus,
  ReplayStatus,
  SnapshotStatus,
  SystemStatus
} from "../observability/SystemStatus.ts"
import { partitionId } from "../materialize/Checkpoint.ts"
import { pipelineOf } from "../materialize/Generation.ts"
import { estimate, readOf } from "./ReplayProgress.ts"
import { rereadStatus } from "./RereadStatus.ts"
import { snapshotStatus } from "./SnapshotStatus.ts"
import type { EndOffsets, OffsetRow, PipelineRow, SystemReading } from "./SystemReading.ts"

/** Behind by more than this is lagging; a batch, or a restart's rebalance, is not. */
const laggingAfterSeconds = 10

/** What the last wait found out, and when each part was last seen with nothing to do (µs since 1970, by its name). */
export interface Known {
  readonly caughtUp: boolean
  readonly settled: boolean
  /** Everything committed before the request came is in the topics. */
  readonly published: boolean
  readonly idleAt: ReadonlyMap<string, bigint>
}

/** A reading as a person or a program wants it. Pure. */
export const assemble = (reading: SystemReading, known: Known, settings: AppConfig["Service"]): SystemStatus => {
  const pipelines = settings.pipelines.enabled.map((name) => pipelineStatus(name, settings.pipelines.modes[name] ?? "live", reading, known))
  return {
    caughtUp: known.caughtUp,
    settled: known.settled,
    capture: captureStatus(reading, known, settings.source),
    snapshot: snapshotOf(reading),
    rereads: reading.rereads.map(rereadStatus),
    pipelines,
    pending: pipelines.reduce((sum, pipeline) => sum + pipeline.pending, 0),
    topics: { prefix: settings.kafka.topicPrefix, tables: settings.source.tables.length },
    at: new Date(Number(reading.now / 1_000n)).toISOString()
  }
}

const captureStatus = (reading: SystemReading, known: Known, source: AppConfig["Service"]["source"]): CaptureStatus => {
  const { current, slot } = reading.wal
  const lagBytes = slot === undefined ? 0 : bytes(current - slot.confirmed)
  const idle = known.published || (slot !== undefined && lagBytes === 0)
  return {
    state: captureState(reading),
    slot: source.slot,
    confirmedLsn: slot === undefined ? null : Lsn.format(slot.confirmed),
    currentLsn: Lsn.format(current),
    lagBytes,
    retainedWalBytes: slot?.restart === undefined ? 0 : bytes(current - slot.restart),
    lagSeconds: lagSeconds(reading.now, reading.capture?.lastCommitAt ?? null, idle, known.idleAt.get(captureName)),
    deadLetters: Number(reading.capture?.deadLetters ?? 0n),
    gaps: reading.gaps.filter(({ table }) => source.tables.some((captured) => TableName.format(captured) === table)),
    eventGaps: reading.capture === undefined ? [] : reading.missingEventTopics.map((topic) => ({ topic, why: "it is not there, and events have nowhere to go", remedy: remakeEvents }))
  }
}

/** Key of capture in {@link Known.idleAt}; no pipeline can have it, as names hold no space. */
const captureName = "the capture"

const captureState = ({ capture, wal: { slot } }: SystemReading): CaptureState => {
  if (capture === undefined) return "notSetUp"
  if (slot === undefined) return "slotMissing"
  if (slot.walStatus === "lost") return "slotLost"
  if (capture.snapshot === "reading") return "snapshotting"
  if (slot.active) return "streaming"
  return capture.snapshot === "pending" ? "waiting" : "stopped"
}

/** A rate that nobody has noted for so long is of a capture that does not run. */
const snapshotNoteSeconds = 5n

const snapshotOf = ({ capture, now, snapshotTables }: SystemReading): SnapshotStatus => {
  const isFresh = capture !== undefined && capture.snapshotNotedAt !== null && now - capture.snapshotNotedAt < snapshotNoteSeconds * 1_000_000n
  return snapshotStatus(capture?.snapshot ?? "pending", snapshotTables, isFresh ? capture.snapshotRowsPerSecond : 0)
}

/** Whether a generation, by its name, is the one that its pipeline works on in its mode: the live one, or a candidate. */
export const isWorkedOn = (generation: string, modes: Readonly<Record<string, PipelineMode>>): boolean =>
  (pipelineOf(generation) === generation) === (modes[pipelineOf(generation)] !== "shadow")

const pipelineStatus = (name: string, mode: PipelineMode, reading: SystemReading, known: Known): PipelineStatus => {
  const ofPipeline = reading.pipelines.filter((row) => pipelineOf(row.name) === name)
  const row = ofPipeline.findLast((row) => isWorkedOn(row.name, { [name]: mode }))
  const other = mode === "live" ? ofPipeline.findLast((row) => row.name !== name) : undefined
  const pending = reading.pending.get(name) ?? 0
  const lagRecords = recordsBehind(reading.offsets.filter((offset) => offset.pipeline === row?.name), reading.ends)
  const idle = lagRecords === 0 && pending === 0
  const seconds = row === undefined ? null : lagSeconds(reading.now, row.last_commit_at, idle, known.idleAt.get(name))
  const state = pipelineState(row, reading.members.get(row?.name ?? name) ?? 0, seconds, reading.now)
  return {
    name,
    mode,
    replay: other === undefined ? null : replayOf(other, reading),
    state,
    pausedWhy: state === "paused" ? row!.paused_why : null,
    lagRecords,
    lagSeconds: seconds,
    deadLetters: Number(row?.dead_letters ?? 0n),
    openDeadLetters: reading.letters.get(row?.name ?? name)?.byReason ?? {},
    suspectRows: reading.letters.get(row?.name ?? name)?.suspectRows ?? 0,
    applied: Number(row?.applied ?? 0n),
    writes: Number(row?.writes ?? 0n),
    otherWrites: Number(row?.other_writes ?? 0n),
    pending
  }
}

/** How far a candidate beside the live state is; nobody builds it if its rate is 0. */
const replayOf = ({ generation, name, records_per_second }: PipelineRow, { ends, members, offsets }: SystemReading): ReplayStatus => {
  const ofCandidate = offsets.filter(({ pipeline }) => pipeline === name)
  const partitions = ofCandidate.flatMap(({ partition, topic }) => {
    const bounds = ends.get(partitionId({ partition, topic }))
    return bounds === undefined ? [] : [{ topic, partition, ...bounds }]
  })
  const { done, of } = readOf(partitions, new Map(ofCandidate.map((row) => [partitionId(row), row.next_offset])))
  const recordsPerSecond = (members.get(name) ?? 0) === 0 ? 0 : records_per_second
  return { generation, done, of, recordsPerSecond, ...estimate(done, of, recordsPerSecond) }
}

/** A pause is noted each second; one that nobody has noted for so long is over. */
const pauseNoteSeconds = 5n

const pipelineState = (row: PipelineRow | undefined, members: number, seconds: number | null, now: bigint): PipelineState => {
  if (row === undefined) return "notStarted"
  if (members === 0) return "stopped"
  if (row.paused_noted_at !== null && now - row.paused_noted_at < pauseNoteSeconds * 1_000_000n) return "paused"
  return seconds !== null && seconds > laggingAfterSeconds ? "lagging" : "running"
}

/** Records that retention or compaction took away before they were read are not waited for. */
export const recordsBehind = (offsets: ReadonlyArray<OffsetRow>, ends: EndOffsets): number => {
  let behind = 0n
  for (const offset of offsets) {
    const end = ends.get(partitionId(offset))
    if (end === undefined) continue
    const next = offset.next_offset > end.low ? offset.next_offset : end.low
    if (end.high > next) behind += end.high - next
  }
  return Number(behind)
}

/**
 * How old the oldest change that waits can be: younger than the last one that got through, and younger than the last
 * moment at which nothing waited. Without the second bound, the first change after a quiet night would look a night old.
 */
const lagSeconds = (now: bigint, lastCommitAt: bigint | null, idle: boolean, idleAt: bigint | undefined): number | null => {
  if (idle) return 0
  if (lastCommitAt === null && idleAt === undefined) return null
  const since = lastCommitAt === null || (idleAt !== undefined && idleAt > lastCommitAt) ? idleAt! : lastCommitAt
  return now > since ? Number((now - since) / 1_000n) / 1_000 : 0
}

/** The parts that had nothing to do in this status. */
export const idleParts = (status: SystemStatus): ReadonlyArray<string> => [
  ...(status.capture.lagSeconds === 0 ? [captureName] : []),
  ...status.pipelines.filter((pipeline) => pipeline.lagSeconds === 0).map((pipeline) => pipeline.name)
]

const bytes = (difference: bigint): number => difference > 0n ? Number(difference) : 0
