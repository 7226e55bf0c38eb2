import * as Remedy from "../domain/Remedy.ts"
import type { Relation, Tuple } from "../domain/RowChange.ts"
import * as TableName from "../domain/TableName.ts"
import type { ColumnPolicy, Treatment } from "./ColumnPolicy.ts"
import { EncodeError } from "./EncodeError.ts"
import type { ColumnBytes } from "./TooLarge.ts"
import type { TypeMapping } from "./TypeMapping.ts"
import type { EncodeText } from "./types/TypeFamily.ts"

/** Writes a relation's rows and keys as JSON text; everything that depends on its columns only is computed once. */
export class RowEncoder {
  readonly #relation: Relation
  /** Those that leave the house, in table order: indexes into the relation's. */
  readonly #columns: ReadonlyArray<number>
  readonly #encoders: ReadonlyArray<EncodeText>
  /** `{"id":`, `,"name":`, …, in the order of `#columns`. */
  readonly #labels: ReadonlyArray<string>
  readonly #keyLabels: ReadonlyArray<string>
  readonly #unchanged: ReadonlyArray<string>

  /** Throws an `EncodeError` if `policy` takes a column from the key. */
  constructor(relation: Relation, types: TypeMapping, policy: ColumnPolicy) {
    const treatments = policy.treatmentsOf(relation)
    this.#relation = relation
    this.#columns = [...relation.columns.keys()].filter((column) => treatments[column] !== "exclude")
    const { columns } = relation
    this.#encoders = columns.map(({ type }, column) => isText(treatments[column]) ? treatments[column] : types.encoderOf(type))
    this.#unchanged = columns.map(({ type }, column) => isText(treatments[column]) ? types.unchangedText : types.unchangedOf(type))
    this.#labels = labels(this.#columns.map((column) => relation.columns[column]!.name))
    this.#keyLabels = labels(relation.key.map((column) => relation.columns[column]!.name))
  }

  /** A whole row. A value that was not sent is taken from `old` (REPLICA IDENTITY FULL), else Debezium's placeholder. */
  row(tuple: Tuple, old: Tuple | undefined): string {
    const columns = this.#columns
    const encoders = this.#encoders
    const labels = this.#labels
    let json = ""
    for (let index = 0; index < columns.length; index++) {
      const column = columns[index]!
      let value = tuple[column]
      if (value === undefined) value = old?.[column]
      json += labels[index]! +
        (value === undefined ? this.#unchanged[column]! : value === null ? "null" : encoders[column]!(value))
    }
    return json === "" ? "{}" : `${json}}`
  }

  /** An old row of which only the identity's columns were sent: those are real, all others null, and nothing is invented. */
  partialRow(tuple: Tuple): string {
    let json = ""
    for (let index = 0; index < this.#columns.length; index++) {
      const column = this.#columns[index]!
      const value = tuple[column]
      json += this.#labels[index]! + (value === undefined || value === null ? "null" : this.#encoders[column]!(value))
    }
    return json === "" ? "{}" : `${json}}`
  }

  /** A row of which only its record's key is known: all other columns are null, or as if each was left out because it is too large. */
  rowOfKey(fields: ReadonlyMap<string, string>, others: "null" | "unavailable" = "null"): string {
    let json = ""
    for (let index = 0; index < this.#columns.length; index++) {
      const column = this.#columns[index]!
      json += this.#labels[index]! + (fields.get(this.#relation.columns[column]!.name) ?? (others === "null" ? others : this.#unchanged[column]!))
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
      if (value === undefined) throw this.#keyNotSent([this.#relation.columns[column]!.name])
      json += this.#keyLabels[part]! + (value === null ? "null" : this.#encoders[column]!(value))
    }
    return `${json}}`
  }

  /** Whether an update moved the row to another key. Throws an `EncodeError` where nothing says whether it did. */
  keyChanged(before: Tuple | undefined, after: Tuple): boolean {
    const { columns, key, sendsOldKey } = this.#relation
    if (before === undefined) {
      if (sendsOldKey) return false
      throw this.#keyNotSent(key.map((column) => columns[column]!.name))
    }
    for (const column of key) {
      if (before[column] === undefined) throw this.#keyNotSent([columns[column]!.name])
      if (after[column] !== undefined && after[column] !== before[column]) return true
    }
    return false
  }

  /**
   * How much a change's record would shrink if it had a column's unavailable value instead: of all that leave but the key's,
   * those where it would, the largest last.
   */
  sizes(tuples: ReadonlyArray<Tuple | undefined>): ReadonlyArray<ColumnBytes> {
    const { key } = this.#relation
    return this.#columns.filter((column) => !key.includes(column)).map((column): ColumnBytes => {
      let bytes = 0
      for (const tuple of tuples) {
        const value = tuple?.[column]
        if (typeof value === "string") bytes += Buffer.byteLength(this.#encoders[column]!(value)) - Buffer.byteLength(this.#unchanged[column]!)
      }
      return { column, bytes }
    }).filter(({ bytes }) => bytes > 0).sort((a, b) => a.bytes - b.bytes)
  }

  #keyNotSent(columns: ReadonlyArray<string>): EncodeError {
    const table = TableName.format(this.#relation)
    return new EncodeError(
      this.#relation,
      `Postgres did not send the old key (${columns.join(", ")}) of a change, because the table's REPLICA IDENTITY leaves it out: ` +
        `ALTER TABLE ${table} REPLICA IDENTITY DEFAULT (or FULL)`,
      Remedy.readAgain(this.#relation)
    )
  }
}

/** A hashed or cut value is a JSON string, whatever its column's type. */
const isText = (treatment: Treatment | undefined): treatment is EncodeText => typeof treatment === "function"

const labels = (names: ReadonlyArray<string>): ReadonlyArray<string> =>
  names.map((name, position) => `${position === 0 ? "{" : ","}${JSON.stringify(name)}:`)
