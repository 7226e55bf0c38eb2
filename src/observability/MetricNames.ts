/**
 * Every metric that we emit: its name, what it means, and the labels it carries. Dashboards and alerts rest on these,
 * so a name never changes meaning. Base units, counters end in `_total`. Labels are bounded: never a key, a row value or
 * an id. What lag exporters for Kafka emit (`kafka_consumergroup_lag`) is not emitted again; ours joins with it by topic.
 */
export const prefix = "cdc_"

export interface MetricName<Label extends string = string> {
  readonly name: `${typeof prefix}${string}`
  readonly type: "gauge" | "counter" | "histogram"
  readonly help: string
  readonly labels: ReadonlyArray<Label>
  /** Histograms: the upper bounds of the buckets. */
  readonly boundaries?: ReadonlyArray<number>
}

const define = <const Label extends string>(
  type: MetricName["type"],
  name: MetricName["name"],
  labels: ReadonlyArray<Label>,
  help: string,
  boundaries?: ReadonlyArray<number>
): MetricName<Label> => ({ name, type, help, labels, ...(boundaries === undefined ? {} : { boundaries }) })

/** Of messaging durations, in seconds. Source: OpenTelemetry, semantic conventions, messaging-metrics. */
export const durationBoundaries = [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10]
/** Of batches: a batch holds one fetch, up to `consume.maxBatchChanges` (1,000) changes. */
const batchBoundaries = [1, 2, 5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000]

export const replicationLagBytes = define("gauge", "cdc_replication_lag_bytes", ["slot"],
  "WAL written and not yet confirmed: current LSN - confirmed_flush_lsn")
export const replicationRetainedWalBytes = define("gauge", "cdc_replication_retained_wal_bytes", ["slot"],
  "WAL that the slot keeps on the source's disk: current LSN - restart_lsn")
export const replicationLagSeconds = define("gauge", "cdc_replication_lag_seconds", ["slot"],
  "Age of the last published transaction; 0 when nothing waits")
export const replicationConnected = define("gauge", "cdc_replication_connected", ["slot"],
  "1 while a process reads the slot")
export const slotStatus = define("gauge", "cdc_slot_status", ["slot", "status"],
  "1 for the slot's wal_status (reserved, extended, unreserved, lost) or missing, 0 for the others")
export const transactionsCaptured = define("counter", "cdc_transactions_captured_total", ["slot"],
  "Committed transactions read from the WAL")
export const changesCaptured = define("counter", "cdc_changes_captured_total", ["table", "op"],
  "Row changes read from the WAL or a snapshot, by Debezium's op (c, u, d, r, t)")
export const changesPublished = define("counter", "cdc_changes_published_total", ["topic"],
  "Records that Kafka acknowledged")
export const publishDuration = define("histogram", "cdc_publish_duration_seconds", ["topic"],
  "From sending a batch to Kafka's acknowledgement", durationBoundaries)
export const pipelineLagRecords = define("gauge", "cdc_pipeline_lag_records", ["pipeline", "topic", "partition"],
  "Records in the partition that the pipeline has not applied")
export const changesApplied = define("counter", "cdc_changes_applied_total", ["pipeline"],
  "Changes applied to aggregates")
export const applyDuration = define("histogram", "cdc_apply_duration_seconds", ["pipeline"],
  "One batch, which is one Postgres transaction", durationBoundaries)
export const batchChanges = define("histogram", "cdc_batch_changes", ["pipeline"], "Changes per batch", batchBoundaries)
export const endToEndLatency = define("histogram", "cdc_end_to_end_latency_seconds", ["pipeline"],
  "From the commit in the source to the commit of the aggregate", durationBoundaries)
export const lastAppliedTimestamp = define("gauge", "cdc_last_applied_timestamp_seconds", ["pipeline"],
  "When the pipeline last committed a batch")
export const deadLetters = define("counter", "cdc_dead_letters_total", ["pipeline", "reason"],
  "Records set aside")
export const deadLettersOpen = define("gauge", "cdc_dead_letters_open", ["pipeline", "reason"],
  "Records set aside that neither a retry nor a later change has resolved")
export const suspectRows = define("gauge", "cdc_suspect_rows", ["pipeline"],
  "Source rows that count as before a change that can't be read")
export const pipelinePaused = define("gauge", "cdc_pipeline_paused", ["pipeline"],
  "1 while the pipeline stands still because too many records can't be used")
export const pipelineOtherWrites = define("gauge", "cdc_pipeline_other_writes", ["pipeline"],
  "Rows that somebody else was found to have written since the pipeline did, ever")
export const replayGeneration = define("gauge", "cdc_replay_generation", ["pipeline"],
  "Generation of the state that cdc replay builds, also while it is interrupted; 0: none")
export const replayRecords = define("gauge", "cdc_replay_records", ["pipeline"],
  "Records in the topics that are replayed; 0: none are")
export const replayRecordsDone = define("gauge", "cdc_replay_records_done", ["pipeline"],
  "Of them, those that the state that is built has")
export const replayRecordsPerSecond = define("gauge", "cdc_replay_records_per_second", ["pipeline"],
  "Over the last ten seconds; 0: nobody builds it, or it has just begun")
export const errors = define("counter", "cdc_errors_total", ["stage", "reason", "retryable"],
  "Errors, by the stage that met them")
export const snapshotTablesRemaining = define("gauge", "cdc_snapshot_tables_remaining", [],
  "Tables that the snapshot has still to read")
export const snapshotRows = define("counter", "cdc_snapshot_rows_total", ["table"], "Rows that the snapshot has read")
export const buildInfo = define("gauge", "cdc_build_info", ["version"], "Always 1")

/** Every metric of ours, for documentation and tests. */
export const all: ReadonlyArray<MetricName> = [
  replicationLagBytes, replicationRetainedWalBytes, replicationLagSeconds, replicationConnected, slotStatus,
  transactionsCaptured, changesCaptured, changesPublished, publishDuration, pipelineLagRecords, changesApplied,
  applyDuration, batchChanges, endToEndLatency, lastAppliedTimestamp, deadLetters, deadLettersOpen, suspectRows, pipelinePaused, pipelineOtherWrites,
  replayGeneration, replayRecords, replayRecordsDone, replayRecordsPerSecond, errors, snapshotTablesRemaining,
  snapshotRows, buildInfo
]
