import type { Relation, Tuple } from "../domain/RowChange.ts"
import * as TableName from "../domain/TableName.ts"
import { EncodeError } from "./EncodeError.ts"
import { unchanged } from "./UnchangedToast.ts"
import { type EncodeText, valueEncoder } from "./ValueEncoder.ts"

/** Writes a relation's rows and keys as JSON text; everything that depends on its columns only is computed once. */
export class RowEncoder {
  readonly #relation: Relation
  readonly #encoders: ReadonlyArray<EncodeText>
  /** `{"id":`, `,"name":`, … */
  readonly #labels: ReadonlyArray<string>
  readonly #keyLabels: ReadonlyArray<string>
  readonly #unchanged: ReadonlyArray<string>

  constructor(relation: Relation) {
    this.#relation = relation
    this.#encoders = relation.columns.map(({ type }) => valueEncoder(type))
    this.#unchanged = relation.columns.map(({ type }) => unchanged(type))
    this.#labels = labels(relation.columns.map(({ name }) => name))
    this.#keyLabels = labels(relation.key.map((column) => relation.columns[column]!.name))
  }

  /** A whole row. A value that was not sent is taken from `old` (REPLICA IDENTITY FULL), else Debezium's placeholder. */
  row(tuple: Tuple, old: Tuple | undefined): string {
    const encoders = this.#encoders
    const labels = this.#labels
    let json = ""
    for (let column = 0; column < encoders.length; column++) {
      let value = tuple[column]
      if (value === undefined) value = old?.[column]
      json += labels[column]! +
        (value === undefined ? this.#unchanged[column]! : value === null ? "null" : encoders[column]!(value))
    }
    return json === "" ? "{}" : `${json}}`
  }

  /** An old row of which only the identity's columns were sent: those are real, all others null, and nothing is invented. */
  partialRow(tuple: Tuple): string {
    let json = ""
    for (let column = 0; column < this.#encoders.length; column++) {
      const value = tuple[column]
      json += this.#labels[column]! + (value === undefined || value === null ? "null" : this.#encoders[column]!(value))
    }
    return json === "" ? "{}" : `${json}}`
  }

  /**
   * The key's columns in primary-key order, undefined for a table without a key. A key column that was not sent because it is
   * stored out of line and did not change is taken from `old`. Throws an `EncodeError` if it is in neither.
   */
  key(tuple: Tuple, old: Tuple | undefined): string | undefined {
    const columns = this.#relation.key
    if (columns.length === 0) return undefined
    let json = ""
    for (let part = 0; part < columns.length; part++) {
      const column = columns[part]!
      let value = tuple[column]
      if (value === undefined) value = old?.[column]
      if (value === undefined) throw this.#keyNotSent(column)
      json += this.#keyLabels[part]! + (value === null ? "null" : this.#encoders[column]!(value))
    }
    return `${json}}`
  }

  /** Whether an update moved the row to another key. */
  keyChanged(before: Tuple, after: Tuple): boolean {
    for (const column of this.#relation.key) {
      if (before[column] === undefined) throw this.#keyNotSent(column)
      if (after[column] !== undefined && after[column] !== before[column]) return true
    }
    return false
  }

  #keyNotSent(column: number): EncodeError {
    const table = TableName.format(this.#relation)
    return new EncodeError(
      `${table}: Postgres did not send the key column ${this.#relation.columns[column]!.name}, so the change has no key. ` +
        `Its REPLICA IDENTITY leaves the key out; ALTER TABLE ${table} REPLICA IDENTITY DEFAULT (or FULL).`
    )
  }
}

const labels = (names: ReadonlyArray<string>): ReadonlyArray<string> =>
  names.map((name, position) => `${position === 0 ? "{" : ","}${JSON.stringify(name)}:`)
