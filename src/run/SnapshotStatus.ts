import type { SnapshotTable } from "../capture/SnapshotTables.ts"
import type { SnapshotStatus, SnapshotTableStatus } from "../observability/SystemStatus.ts"

/**
 * How far a snapshot is, and how long it will take. The whole goes by bytes on disk, which are known of every table; a table by rows.
 * Pure. `rowsPerSecond`: lately, of all tables together; null: nobody is reading.
 */
export const snapshotStatus = (
  state: SnapshotStatus["state"],
  readings: ReadonlyArray<SnapshotTable>,
  rowsPerSecond: number | null
): SnapshotStatus => {
  const rows = readings.reduce((sum, reading) => sum + reading.rows, 0)
  const part = state === "done" ? 1 : partOfAll(readings)
  return {
    state,
    tablesDone: readings.filter((reading) => reading.state === "done").length,
    tables: readings.map(tableStatus),
    rows,
    percent: percent(part, state === "done"),
    rowsPerSecond: state === "reading" ? rounded(rowsPerSecond) : null,
    secondsLeft: state === "done" ? 0 : state === "reading" ? secondsLeft(rows, part, rowsPerSecond) : null
  }
}

const tableStatus = (reading: SnapshotTable): SnapshotTableStatus => {
  const { estimatedRows, rows, seconds, state, table } = reading
  const part = partOf(reading)
  const rate = seconds === null || seconds <= 0 ? null : rows / seconds
  return {
    table,
    state,
    rows,
    estimatedRows,
    percent: part === undefined ? null : percent(part, state === "done"),
    rowsPerSecond: rounded(rate),
    secondsLeft: state === "done" ? 0 : state === "reading" && part !== undefined ? secondsLeft(rows, part, rate) : null
  }
}

/** undefined: it is being read, and nobody knows how many rows there are. */
const partOf = ({ estimatedRows, rows, state }: SnapshotTable): number | undefined => {
  if (state !== "reading") return state === "done" ? 1 : 0
  return estimatedRows === null ? undefined : Math.min(1, rows / Math.max(1, estimatedRows))
}

const partOfAll = (readings: ReadonlyArray<SnapshotTable>): number => {
  const weightOf = ({ bytes }: SnapshotTable) => (bytes ?? 0) + 1 // so that empty tables count among each other
  const all = readings.reduce((sum, reading) => sum + weightOf(reading), 0)
  return all === 0 ? 0 : readings.reduce((sum, reading) => sum + weightOf(reading) * (partOf(reading) ?? 0), 0) / all
}

/** With one decimal; 100 is kept for what is done, as an estimate may be too low. */
const percent = (part: number, isDone: boolean): number => isDone ? 100 : Math.min(99.9, Math.floor(part * 1_000) / 10)

const secondsLeft = (rows: number, part: number, rowsPerSecond: number | null): number | null =>
  rowsPerSecond === null || rowsPerSecond <= 0 || part <= 0 ? null : Math.ceil(rows / part * (1 - part) / rowsPerSecond)

const rounded = (value: number | null): number | null => value === null ? null : Math.round(value)

/** A line for people: `3 of 18 tables, 412,000 rows`, and while reading `…, 37 %, 45,000 rows/s, 15 s left`. */
export const describe = ({ percent, rows, rowsPerSecond, secondsLeft, state, tables, tablesDone }: SnapshotStatus): string =>
  [
    `${tablesDone} of ${tables.length} tables`,
    `${amount(rows)} rows`,
    ...(state !== "reading" ? [] : [
      `${Math.floor(percent)} %`,
      `${amount(rowsPerSecond ?? 0)} rows/s`,
      ...(secondsLeft === null ? [] : [`${duration(secondsLeft)} left`])
    ])
  ].join(", ")

const amount = (value: number): string => value.toLocaleString("en-US")

const duration = (seconds: number): string => {
  if (seconds < 90) return `${seconds} s`
  return seconds < 5_400 ? `${Math.round(seconds / 60)} min` : `${(seconds / 3_600).toFixed(1)} h`
}
