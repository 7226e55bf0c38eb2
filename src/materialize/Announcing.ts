import type { AnnouncedChange, Announcement, Columns } from "./Pipeline.ts"

/** How a group's row came to stand as it does, kept in state until the row can be written: the hub may hold it, or its parent be missing. */
export interface Standing {
  /** Of the announced column. */
  readonly value: Columns[string]
  /** Since when (µs). */
  readonly since: string
  readonly cause: AnnouncedChange["cause"]
  readonly correlations: ReadonlyArray<string>
}

/** What happened to a group while a batch was folded into it. */
export interface Happening {
  /** An entry of it changed, came or went, other than by time. */
  readonly hasChanged: boolean
  readonly correlations: Iterable<string>
  /** The instant (µs) that it is rendered for. */
  readonly now: bigint
  /** When (µs) time alone made it so. */
  readonly crossing: () => bigint
}

/**
 * The standing of a group whose announced column is `value` now. It lasts while the value does. `before` null: state knows of none,
 * because it is new, or was made anew.
 */
export const standingOf = (before: Standing | null, value: Columns[string], happening: Happening): Standing => {
  if (before !== null && before.value === value) return before
  if (happening.hasChanged) {
    return { value, since: String(happening.now), cause: "change", correlations: [...new Set(happening.correlations)].slice(0, maxCorrelations) }
  }
  if (before === null) return { value, since: String(happening.now), cause: "rescored", correlations: [] }
  return { value, since: String(happening.crossing()), cause: "time", correlations: [] }
}

/** A batch that changes more of one group names these: an event stays small. */
export const maxCorrelations = 1_000

/** A row that the hub has now, as state wants it. */
export interface StandingRow {
  readonly key: string
  readonly columns: Columns
  /** The instant (µs) that it was rendered for. */
  readonly now: bigint
  readonly standing: Standing
  /** Was inserted or updated just now; otherwise it was so already. */
  readonly isWritten: boolean
}

/** What was told of a key before. */
export interface Told {
  /** null: nothing that its topic knows of. */
  readonly columns: Columns | null
  /** As its topic says: what had been remembered was told where nobody heard it (`AnnouncedWitness.ts`). */
  readonly corrected: boolean
}

/** What is to be told, and what to be remembered as told. */
export interface News {
  readonly key: string
  readonly told: Columns
  /** undefined: nobody is told. */
  readonly change: AnnouncedChange | undefined
}

/** undefined: there is none. `told` undefined: nothing ever was, of this key. */
export const newsOf = (announcement: Announcement, row: StandingRow, told: Told | undefined): News | undefined => {
  const { column, beside } = announcement
  const before = told?.columns ?? null
  if (before !== null && before[column] === row.columns[column]) return told!.corrected ? { key: row.key, told: before, change: undefined } : undefined
  const after = Object.fromEntries([column, ...beside].map((name) => [name, row.columns[name] ?? null]))
  // A row that stood so before anything was told of it is what news begins from.
  if (told === undefined && !row.isWritten) return { key: row.key, told: after, change: undefined }
  return { key: row.key, told: after, change: { key: row.key, before, after, ...reasonOf(row, told) } }
}

/** What has led from what its readers know to here is not known where that was corrected: it is told as it stands. */
const reasonOf = ({ now, standing }: StandingRow, told: Told | undefined): Pick<AnnouncedChange, "at" | "cause" | "correlations"> => {
  if (told?.corrected === true) return { cause: "rescored", correlations: [], at: now }
  const { cause, correlations, since } = standing
  return { cause, correlations, at: cause === "time" ? BigInt(since) : now }
}
