import { resnapshot } from "../domain/Remedy.ts"

/**
 * What `/status` says, and the page shows: the whole system as Postgres and Kafka have it, whichever process answers.
 * JSON as it stands; LSNs in Postgres' spelling, bytes and records as numbers (exact up to 2^53).
 */
export interface SystemStatus {
  /** Everything committed before the request came has been published and applied. */
  readonly caughtUp: boolean
  /** Caught up, and no pipeline has written anything since: what pipelines wrote has gone through the topics, too. */
  readonly settled: boolean
  readonly capture: CaptureStatus
  readonly snapshot: SnapshotStatus
  /** Not finished, or finished within a day; oldest first. */
  readonly rereads: ReadonlyArray<RereadStatus>
  readonly pipelines: ReadonlyArray<PipelineStatus>
  /** Rows that a pipeline could not write yet, because somebody else holds them. */
  readonly pending: number
  readonly topics: { readonly prefix: string; readonly tables: number }
  /** The instant of the answer, ISO 8601. */
  readonly at: string
}

/** How capture is doing, told from the slot and `cdc.capture`: see {@link captureStates}. */
export type CaptureState = keyof typeof captureStates

export const captureStates = {
  notSetUp: "cdc setup has not been run",
  waiting: "set up; the first capture has not begun",
  snapshotting: "reading the existing rows",
  streaming: "a process reads the slot",
  stopped: "no process reads the slot; WAL is kept until one does",
  slotMissing: `the slot is gone: ${resnapshot}`,
  slotLost: `Postgres has invalidated the slot: ${resnapshot}`
} as const

export interface CaptureStatus {
  readonly state: CaptureState
  readonly slot: string
  /** null: no slot. */
  readonly confirmedLsn: string | null
  readonly currentLsn: string
  /** Not yet confirmed as published. */
  readonly lagBytes: number
  /** What the slot keeps on the source's disk. */
  readonly retainedWalBytes: number
  /** Age of the last published transaction while something waits, else 0; null: nothing was ever published. */
  readonly lagSeconds: number | null
  /** Captured tables of which changes may be missing in the topics, until somebody has them read again. */
  readonly gaps: ReadonlyArray<GapStatus>
  /** Topics of events that are not there: what pipelines announce is not heard until they are. */
  readonly eventGaps: ReadonlyArray<EventGapStatus>
  /** Records that were too large for their topic, and are reported on `<topic>.capture.dlq`. */
  readonly deadLetters: number
}

export interface GapStatus {
  readonly table: string
  readonly why: string
  readonly remedy: string
}

export interface EventGapStatus {
  readonly topic: string
  readonly why: string
  readonly remedy: string
}

export interface SnapshotStatus {
  readonly state: "pending" | "reading" | "done"
  readonly tablesDone: number
  readonly tables: ReadonlyArray<SnapshotTableStatus>
  /** Of all tables, acknowledged by Kafka. */
  readonly rows: number
  /** By the tables' bytes on disk; 100 only when all is done. */
  readonly percent: number
  /** Over the last ten seconds; null: not reading. 0: it stands still, or nobody reads. */
  readonly rowsPerSecond: number | null
  /** At this rate; 0 when done, null: not known. */
  readonly secondsLeft: number | null
}

export interface SnapshotTableStatus {
  readonly table: string
  readonly state: "waiting" | "reading" | "done"
  readonly rows: number
  /** From Postgres' statistics, and from what is read already; when done, the rows. null: not known. */
  readonly estimatedRows: number | null
  /** By rows; null: being read, and it is not known how many there are. 100 only when done. */
  readonly percent: number | null
  /** Since its first row; null: not begun. */
  readonly rowsPerSecond: number | null
  /** 0 when done; null: waiting, or not known. */
  readonly secondsLeft: number | null
}

/** A table that is read again while its changes are streamed: `cdc snapshot`, and what repairs a gap. */
export interface RereadStatus {
  readonly id: number
  readonly table: string
  readonly reason: "asked" | "added" | "gapped" | "resnapshot" | "truncated"
  /** `sweeping`: keys that the table has no more are deleted from its topic. */
  readonly state: "waiting" | "reading" | "sweeping" | "done" | "failed"
  /** Published again. */
  readonly rows: number
  /** Keys deleted that the table has no more. */
  readonly swept: number
  /** From Postgres' statistics; null: not known. */
  readonly estimatedRows: number | null
  readonly percent: number | null
  readonly rowsPerSecond: number | null
  readonly secondsLeft: number | null
  /** Why it failed, or what it waits for. */
  readonly problem: string | null
}

/** How a pipeline is doing, told from its rows in the state schema and its consumer group: see {@link pipelineStates}. */
export type PipelineState = keyof typeof pipelineStates

export const pipelineStates = {
  notStarted: "it has not run yet in this mode",
  running: "its consumer group has members, and it keeps up",
  lagging: "its consumer group has members, and it is more than 10 s behind",
  paused: "too many records can't be used; `cdc dead-letters accept` lets it go on",
  stopped: "its consumer group has no member"
} as const

export interface PipelineStatus {
  readonly name: string
  /** `shadow`: all that is said here is of the state that it builds; it writes nothing else. */
  readonly mode: "live" | "shadow"
  /** null: no other state is being built beside the live one. */
  readonly replay: ReplayStatus | null
  readonly state: PipelineState
  /** What it met, and the remedy; null: it is not paused. */
  readonly pausedWhy: string | null
  /** Records in its topics that it has not applied. */
  readonly lagRecords: number
  /** Age of the last applied change while records wait, else 0; null: nothing was ever applied. */
  readonly lagSeconds: number | null
  /** Records ever set aside. */
  readonly deadLetters: number
  /** By reason, those that neither a retry nor a later change has resolved. */
  readonly openDeadLetters: Readonly<Record<string, number>>
  /** Source rows that count as before a change that can't be read. */
  readonly suspectRows: number
  /** Changes applied, and aggregate rows written, since it was first started. */
  readonly applied: number
  readonly writes: number
  /** Rows of its columns that somebody else was found to have written, such as the job that did this before. */
  readonly otherWrites: number
  readonly pending: number
}

/** How far the state is that `cdc replay` (or shadow mode, before) builds beside the live one. */
export interface ReplayStatus {
  readonly generation: number
  /** Records, by offsets: what compaction has removed counts as read. */
  readonly done: number
  readonly of: number
  readonly percent: number
  /** 0: nobody builds it, as it was interrupted; null: not known yet. */
  readonly recordsPerSecond: number | null
  readonly secondsLeft: number | null
}

/** What the metrics say of the slot. */
export interface SlotReading {
  readonly name: string
  readonly connected: boolean
  /** `pg_replication_slots.wal_status`, or missing. */
  readonly walStatus: string
  readonly lagBytes: number
  readonly retainedWalBytes: number
  readonly lagSeconds: number
}
