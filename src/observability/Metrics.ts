import { Effect, Metric } from "effect"
import { PrometheusMetrics } from "effect/observability"
import { collectDefaultMetrics, Registry } from "prom-client"
import * as Names from "./MetricNames.ts"
import type { SlotReading } from "./SystemStatus.ts"

/**
 * What the process tells Prometheus, by function: nobody else spells a metric or a label. All are cheap (a map look-up
 * and an addition) and meant to be called once per batch.
 */

export const captured = (slot: string, transactions: number): Effect.Effect<void> =>
  add(Names.transactionsCaptured, { slot }, transactions)

/** `op` as in the envelope: c, u, d, r or t. */
export const changesCaptured = (table: string, op: string, changes: number): Effect.Effect<void> =>
  add(Names.changesCaptured, { table, op }, changes)

export const published = (topic: string, records: number): Effect.Effect<void> =>
  add(Names.changesPublished, { topic }, records)

export const publishDuration = (topic: string, seconds: number): Effect.Effect<void> =>
  observe(Names.publishDuration, { topic }, seconds)

/** One committed batch of a pipeline. */
export const applied = (batch: {
  readonly pipeline: string
  readonly changes: number
  /** How long the transaction took. */
  readonly seconds: number
  /** From the source's commit to the aggregate's, of the oldest change in the batch; undefined for snapshot reads. */
  readonly latencySeconds?: number | undefined
}): Effect.Effect<void> =>
  Effect.all([
    add(Names.changesApplied, { pipeline: batch.pipeline }, batch.changes),
    observe(Names.applyDuration, { pipeline: batch.pipeline }, batch.seconds),
    observe(Names.batchChanges, { pipeline: batch.pipeline }, batch.changes),
    set(Names.lastAppliedTimestamp, { pipeline: batch.pipeline }, Date.now() / 1_000),
    batch.latencySeconds === undefined
      ? Effect.void
      : observe(Names.endToEndLatency, { pipeline: batch.pipeline }, batch.latencySeconds)
  ], { discard: true })

export const deadLetters = (pipeline: string, reason: string, records: number): Effect.Effect<void> =>
  add(Names.deadLetters, { pipeline, reason }, records)

/** `reason` is that of the stage's error class: bounded. */
export const failed = (stage: string, reason: string, retryable: boolean): Effect.Effect<void> =>
  add(Names.errors, { stage, reason, retryable: String(retryable) }, 1)

export const snapshotRows = (table: string, rows: number): Effect.Effect<void> => add(Names.snapshotRows, { table }, rows)

export const snapshotTablesRemaining = (tables: number): Effect.Effect<void> =>
  set(Names.snapshotTablesRemaining, {}, tables)

export const pipelineLag = (pipeline: string, topic: string, partition: number, records: number): Effect.Effect<void> =>
  set(Names.pipelineLagRecords, { pipeline, topic, partition: String(partition) }, records)

export const buildInfo = (version: string): Effect.Effect<void> => set(Names.buildInfo, { version }, 1)

const slotStatuses = ["reserved", "extended", "unreserved", "lost", "missing"] as const

export const replication = (slot: SlotReading): Effect.Effect<void> => {
  const labels = { slot: slot.name }
  return Effect.all([
    set(Names.replicationLagBytes, labels, Number(slot.lagBytes)),
    set(Names.replicationRetainedWalBytes, labels, Number(slot.retainedWalBytes)),
    set(Names.replicationLagSeconds, labels, slot.lagSeconds),
    set(Names.replicationConnected, labels, slot.connected ? 1 : 0),
    ...slotStatuses.map((status) => set(Names.slotStatus, { ...labels, status }, status === slot.walStatus ? 1 : 0))
  ], { discard: true })
}

/** The text of `/metrics`: ours, then what every Node dashboard looks for (`process_…`, `nodejs_…`). */
export const text: Effect.Effect<string> = Effect.gen(function*() {
  const ours = yield* PrometheusMetrics.format()
  const node = yield* Effect.promise(() => processRegistry().metrics())
  return `${ours}${node}`
})

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

const add = <Label extends string>(name: Names.MetricName<Label>, labels: Labels<Label>, amount: number) =>
  Metric.update(series(name, labels), amount)
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
