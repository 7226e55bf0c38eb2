import type { Piece, TablePlan } from "../capture/SnapshotPlan.ts"
import type { SnapshotTable } from "../capture/SnapshotTables.ts"
import type { Relation } from "../domain/RowChange.ts"
import * as TableName from "../domain/TableName.ts"
import type { SnapshotStatus } from "../observability/SystemStatus.ts"
import { snapshotStatus } from "./SnapshotStatus.ts"

/** What Kafka has acknowledged at once. */
export interface PublishedRows {
  readonly rows: ReadonlyMap<Relation, number>
  /** Pieces that are through, with all their rows. */
  readonly pieces: ReadonlyArray<{ readonly piece: Piece; readonly rows: number }>
  /** Tables all of whose rows are acknowledged. */
  readonly tables: ReadonlyArray<Relation>
}

/** The rate is that of so much time: short enough to show that something stands still, long enough to be read. */
const rateMillis = 10_000

/**
 * Counts what is published of a snapshot. How many rows a table has is estimated by the pieces of it that are through, once one is;
 * before that by the last ANALYZE. Times are in milliseconds of any clock that only goes forward.
 */
export class SnapshotProgress {
  readonly #before: ReadonlyArray<SnapshotTable>
  readonly #tables: ReadonlyMap<Relation, TableProgress>
  #unnoted = new Set<TableProgress>()
  /** The oldest is as old as the rate's time, or the beginning. */
  #samples: Array<{ readonly millis: number; readonly rows: number }>
  #rows = 0

  /** `before`: the tables that an earlier process has done. */
  constructor(before: ReadonlyArray<SnapshotTable>, plans: ReadonlyArray<TablePlan>, millis: number) {
    this.#before = before
    this.#tables = new Map(plans.map((plan) => [plan.relation, new TableProgress(plan)]))
    this.#unnoted = new Set(this.#tables.values())
    this.#samples = [{ millis, rows: 0 }]
  }

  /** A reader has brought rows of the table, or the word that there are none. */
  begun(relation: Relation, millis: number): void {
    const table = this.#tables.get(relation)!
    if (table.begunMillis !== undefined) return
    table.begunMillis = millis
    this.#unnoted.add(table)
  }

  acknowledged({ pieces, rows, tables }: PublishedRows, millis: number): void {
    for (const [relation, count] of rows) {
      const table = this.#tables.get(relation)!
      table.rows += count
      this.#rows += count
      this.#unnoted.add(table)
    }
    for (const { piece, rows } of pieces) {
      const table = this.#tables.get(piece.relation)!
      table.throughRows += rows
      table.throughBytes += piece.bytes
    }
    for (const relation of tables) {
      const table = this.#tables.get(relation)!
      table.doneMillis = millis
      this.#unnoted.add(table)
    }
  }

  /** A note did not get through: all is to be noted again. */
  notNoted(): void {
    this.#unnoted = new Set(this.#tables.values())
  }

  get tablesRemaining(): number {
    return [...this.#tables.values()].filter(({ doneMillis }) => doneMillis === undefined).length
  }

  rowsOf(relation: Relation): number {
    return this.#tables.get(relation)!.rows
  }

  /** What has changed since the last call: to be asked about once a second, as the rate is made of these calls. */
  toNote(millis: number): { readonly tables: ReadonlyArray<SnapshotTable>; readonly rowsPerSecond: number } {
    this.#samples.push({ millis, rows: this.#rows })
    while (this.#samples.length > 2 && this.#samples[1]!.millis <= millis - rateMillis) this.#samples.shift()
    const tables = [...this.#unnoted].map((table) => table.reading(millis))
    this.#unnoted = new Set([...this.#tables.values()].filter((table) => table.isReading)) // their time goes on
    return { tables, rowsPerSecond: this.#rowsPerSecond() }
  }

  status(millis: number): SnapshotStatus {
    const readings = [...this.#before, ...[...this.#tables.values()].map((table) => table.reading(millis))]
    const isDone = readings.every(({ state }) => state === "done")
    return snapshotStatus(isDone ? "done" : "reading", readings, this.#rowsPerSecond())
  }

  #rowsPerSecond(): number {
    const first = this.#samples[0]!
    const last = this.#samples.at(-1)!
    return last.millis <= first.millis ? 0 : (last.rows - first.rows) * 1_000 / (last.millis - first.millis)
  }
}

class TableProgress {
  rows = 0
  throughRows = 0
  throughBytes = 0
  begunMillis: number | undefined
  doneMillis: number | undefined
  readonly #plan: TablePlan

  constructor(plan: TablePlan) {
    this.#plan = plan
  }

  get isReading(): boolean {
    return this.begunMillis !== undefined && this.doneMillis === undefined
  }

  reading(millis: number): SnapshotTable {
    return {
      table: TableName.format(this.#plan.relation),
      state: this.doneMillis !== undefined ? "done" : this.begunMillis !== undefined ? "reading" : "waiting",
      rows: this.rows,
      estimatedRows: this.#estimatedRows(),
      bytes: Math.round(this.#plan.bytes),
      seconds: this.begunMillis === undefined ? null : ((this.doneMillis ?? millis) - this.begunMillis) / 1_000
    }
  }

  #estimatedRows(): number | null {
    if (this.doneMillis !== undefined) return this.rows
    const estimate = this.throughBytes > 0 ? Math.round(this.throughRows / this.throughBytes * this.#plan.bytes) : this.#plan.estimatedRows
    return estimate === undefined ? null : Math.max(estimate, this.rows)
  }
}
