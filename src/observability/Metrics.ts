import { Context, Effect, Metric } from "effect"
import { PrometheusMetrics } from "effect/observability"
import { collectDefaultMetrics, Registry } from "prom-client"
import * as Names from "./MetricNames.ts"
import type { ReplayStatus, SlotReading } from "./SystemStatus.ts"

/**
 * What the process tells Prometheus, by function: nobody else spells a metric or a label. All are cheap (a map look-up
 * and an addition), meant to be called once per batch, also from callbacks.
 */

export const captured = (slot: string, transactions: number): void =>
  add(Names.transactionsCaptured, { slot }, transactions)

/** `op` as in the envelope: c, u, d, r or t. */
export const changesCaptured = (table: string, op: string, changes: number): void =>
  add(Names.changesCaptured, { table, op }, changes)

export const published = (topic: string, records: number): void =>
  add(Names.changesPublished, { topic }, records)

export const publishDuration = (topic: string, seconds: number): void =>
  observe(Names.publishDuration, { topic }, seconds)

/** One committed batch of a pipeline. */
export const applied = (batch: {
  readonly pipeline: string
  readonly changes: number
  /** How long the transaction took. */
  readonly seconds: number
  /** When it was committed, milliseconds since 1970. */
  readonly atMillis: number
  /** When each streamed change committed at its source, µs since 1970. */
  readonly commitMicros: ReadonlyArray<number>
}): void => {
  const labels = { pipeline: batch.pipeline }
  add(Names.changesApplied, labels, batch.changes)
  observe(Names.applyDuration, labels, batch.seconds)
  observe(Names.batchChanges, labels, batch.changes)
  set(Names.lastAppliedTimestamp, labels, batch.atMillis / 1_000)
  const latency = series(Names.endToEndLatency, labels)
  for (const commitMicros of batch.commitMicros) {
    latency.updateUnsafe(Math.max(0, batch.atMillis / 1_000 - commitMicros / 1_000_000), Context.empty())
  }
}

export const deadLetters = (pipeline: string, reason: string, records: number): void =>
  add(Names.deadLetters, { pipeline, reason }, records)

export const otherWrites = (pipeline: string, rows: number): void => set(Names.pipelineOtherWrites, { pipeline }, rows)
/** A reason that is not among them has none open any more. */
export const openDeadLetters = (pipeline: string, byReason: Readonly<Record<string, number>>, suspectRows: number): void => {
  const reasons = reasonsSeen.get(pipeline) ?? new Set<string>()
  reasonsSeen.set(pipeline, reasons)
  for (const reason of Object.keys(byReason)) reasons.add(reason)
  for (const reason of reasons) set(Names.deadLettersOpen, { pipeline, reason }, byReason[reason] ?? 0)
  set(Names.suspectRows, { pipeline }, suspectRows)
}

const reasonsSeen = new Map<string, Set<string>>()

export const paused = (pipeline: string, isPaused: boolean): void => set(Names.pipelinePaused, { pipeline }, isPaused ? 1 : 0)

/** null: none is under way. */
export const replay = (pipeline: string, status: ReplayStatus | null): void => {
  set(Names.replayGeneration, { pipeline }, status?.generation ?? 0)
  set(Names.replayRecords, { pipeline }, status?.of ?? 0)
  set(Names.replayRecordsDone, { pipeline }, status?.done ?? 0)
  set(Names.replayRecordsPerSecond, { pipeline }, status?.recordsPerSecond ?? 0)
}

/** `reason` is that of the stage's error class: bounded. */
export const failed = (stage: string, reason: string, retryable: boolean): void =>
  add(Names.errors, { stage, reason, retryable: String(retryable) }, 1)

export const snapshotRows = (table: string, rows: number): void => add(Names.snapshotRows, { table }, rows)

export const snapshotTablesRemaining = (tables: number): void =>
  set(Names.snapshotTablesRemaining, {}, tables)

export const pipelineLag = (pipeline: string, topic: string, partition: number, records: number): void =>
  set(Names.pipelineLagRecords, { pipeline, topic, partition: String(partition) }, records)

export const buildInfo = (version: string): void => set(Names.buildInfo, { version }, 1)

const slotStatuses = ["reserved", "extended", "unreserved", "lost", "missing"] as const

export const replication = (slot: SlotReading): void => {
  const labels = { slot: slot.name }
  set(Names.replicationLagBytes, labels, slot.lagBytes)
  set(Names.replicationRetainedWalBytes, labels, slot.retainedWalBytes)
  set(Names.replicationLagSeconds, labels, slot.lagSeconds)
  set(Names.replicationConnected, labels, slot.connected ? 1 : 0)
  for (const status of slotStatuses) set(Names.slotStatus, { ...labels, status }, status === slot.walStatus ? 1 : 0)
}

/** The text of `/metrics`: ours, then what every Node dashboard looks for (`process_…`, `nodejs_…`). */
export const text: Effect.Effect<string> = Effect.map(
  Effect.promise(() => processRegistry().metrics()),
  (node) => `${PrometheusMetrics.formatUnsafe(Context.empty())}${node}`
)

export const contentType = "text/plain; version=0.0.4; charset=utf-8"

// Made at the first scrape: its event-loop monitor is a timer that a command which ends at once has no use for.
let registry: Registry | undefined
const processRegistry = (): Registry => {
  if (registry === undefined) {
    registry = new Registry()
    collectDefaultMetrics({ register: registry })
  }
  return registry
}

type Labels<Label extends string> = Readonly<Record<Label, string>>

const add = <Label extends string>(name: Names.MetricName<Label>, labels: Labels<Label>, amount: number): void =>
  series(name, labels).updateUnsafe(amount, Context.empty())
const set = add
const observe = add

const known = new Map<string, Metric.Metric<number, unknown>>()

/** Made once per series, as the look-up by attributes is what costs. */
const series = <Label extends string>(name: Names.MetricName<Label>, labels: Labels<Label>): Metric.Metric<number, unknown> => {
  const id = name.labels.reduce((id, label) => `${id}\0${labels[label]}`, name.name as string)
  let metric = known.get(id)
  if (metric === undefined) known.set(id, metric = make(name, labels))
  return metric
}

const make = (name: Names.MetricName, attributes: Labels<string>): Metric.Metric<number, unknown> => {
  switch (name.type) {
    case "counter":
      return Metric.counter(name.name, { description: name.help, attributes, incremental: true })
    case "gauge":
      return Metric.gauge(name.name, { description: name.help, attributes })
    case "histogram":
      return Metric.histogram(name.name, { description: name.help, attributes, boundaries: name.boundaries! })
  }
}
