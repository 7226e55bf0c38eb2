import type { SnapshotMark } from "../domain/RowChange.ts"

/** Where the rows go, each once; of a table in the order in which they came. */
export interface MarkedRows<Table, Row> {
  /** `nth`: of the table, from 1. */
  readonly row: (table: Table, row: Row, nth: number, mark: SnapshotMark) => void
  /** All rows of the table were given. */
  readonly tableDone: (table: Table) => void
}

interface OpenTable<Row> {
  /** Rows given so far. */
  given: number
  /** Given when it is known whether another one follows. */
  readonly held: Row
}

/**
 * Says of each row where in the snapshot it stands, as Debezium does: the first and the last row of each table, and of all. Tables may
 * be read side by side. A row that may be a table's last is held back until that is known, and a table's last row until it is
 * known whether any row of another table follows; so one row per open table is held.
 *
 * Where several marks fit: last, first, last_in_data_collection, first_in_data_collection.
 * Source: Debezium 3.6, RelationalSnapshotChangeEventSource.setSnapshotMarker
 */
export class SnapshotMarks<Table, Row> {
  readonly #to: MarkedRows<Table, Row>
  readonly #open = new Map<Table, OpenTable<Row>>()
  #ended: { readonly table: Table; readonly last: OpenTable<Row> } | undefined
  #isFirst: boolean

  /** `isFirstRecord`: false where an earlier process has published rows of the same snapshot. */
  constructor(isFirstRecord: boolean, to: MarkedRows<Table, Row>) {
    this.#isFirst = isFirstRecord
    this.#to = to
  }

  /** More rows of a table that has not ended. */
  rows(table: Table, rows: ReadonlyArray<Row>): void {
    if (rows.length === 0) return
    this.#giveEnded("last_in_data_collection")
    const open = this.#open.get(table)
    let given = open?.given ?? 0
    if (open !== undefined) this.#give(table, open.held, ++given, "true")
    for (let index = 0; index < rows.length - 1; index++) this.#give(table, rows[index]!, ++given, "true")
    this.#open.set(table, { given, held: rows.at(-1)! })
  }

  /** Once for each table, also for one without rows. */
  endTable(table: Table): void {
    const last = this.#open.get(table)
    if (last === undefined) return this.#to.tableDone(table)
    this.#giveEnded("last_in_data_collection")
    this.#open.delete(table)
    this.#ended = { table, last }
  }

  /** All tables have ended. */
  end(): void {
    this.#giveEnded("last")
  }

  #giveEnded(mark: "last_in_data_collection" | "last"): void {
    if (this.#ended === undefined) return
    const { last, table } = this.#ended
    this.#ended = undefined
    this.#give(table, last.held, last.given + 1, mark)
    this.#to.tableDone(table)
  }

  #give(table: Table, row: Row, nth: number, mark: "true" | "last_in_data_collection" | "last"): void {
    const isFirst = this.#isFirst
    this.#isFirst = false
    const better = mark === "last" ? mark : isFirst ? "first" : nth === 1 && mark === "true" ? "first_in_data_collection" : mark
    this.#to.row(table, row, nth, better)
  }
}
