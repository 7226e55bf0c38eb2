import type { Reread } from "../capture/Rereads.ts"
import type { RereadStatus } from "../observability/SystemStatus.ts"
import * as TableName from "../domain/TableName.ts"

/** How far a re-read is, and how long it will take. Pure. */
export const rereadStatus = (reread: Reread): RereadStatus => {
  const { estimatedRows, id, reason, rows, startedAt, state, swept } = reread
  const seconds = startedAt === undefined ? 0 : Number(reread.now - startedAt) / 1e6
  const rate = state === "reading" && seconds > 0 ? rows / seconds : null
  const part = partOf(reread)
  return {
    id: Number(id),
    table: TableName.format(reread.table),
    reason,
    state,
    rows,
    swept,
    estimatedRows,
    percent: part === null ? null : Math.floor(part * 1_000) / 10,
    rowsPerSecond: rate === null ? null : Math.round(rate),
    secondsLeft: rate === null || rate === 0 || part === null || part === 0 ? null : Math.ceil(rows / part * (1 - part) / rate),
    problem: reread.error ?? null
  }
}

/** 1 only when all rows are published: the estimate may be too low. null: a condition leaves out who knows how many, or nobody knows how many there are. */
const partOf = ({ condition, estimatedRows, rows, state }: Reread): number | null => {
  if (state === "done" || state === "sweeping") return 1
  if (state === "waiting") return 0
  return condition !== undefined || estimatedRows === null || estimatedRows === 0 ? null : Math.min(0.999, rows / estimatedRows)
}

/** For a line of the terminal: `reading: 412,000 rows (37 %), 45,000 rows/s, 15 s left`. */
export const describe = ({ percent, problem, rows, rowsPerSecond, secondsLeft, state, swept }: RereadStatus): string => {
  const facts = state === "waiting" ? [] : [
    `${amount(rows)} rows${percent === null || state !== "reading" ? "" : ` (${Math.floor(percent)} %)`}`,
    ...(rowsPerSecond === null ? [] : [`${amount(rowsPerSecond)} rows/s`]),
    ...(secondsLeft === null ? [] : [`${amount(secondsLeft)} s left`]),
    ...(swept === 0 ? [] : [`${amount(swept)} keys deleted that the table has no more`])
  ]
  return `${state}${facts.length === 0 ? "" : `: ${facts.join(", ")}`}${problem === null ? "" : `; ${problem}`}`
}

const amount = (value: number): string => value.toLocaleString("en-US")
