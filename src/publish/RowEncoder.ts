import * as Remedy from "../domain/Remedy.ts"
import { RowBytes } from "../domain/RowBytes.ts"
import type { Relation, Tuple } from "../domain/RowChange.ts"
import * as TableName from "../domain/TableName.ts"
import type { ByteWriter } from "./ByteWriter.ts"
import type { ColumnPolicy, Treatment } from "./ColumnPolicy.ts"
import { EncodeError } from "./EncodeError.ts"
import { asConnectWrites } from "./KeyText.ts"
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
  readonly #labels: ReadonlyArray<Buffer>
  readonly #keyLabels: ReadonlyArray<string>
  readonly #keyLabelBytes: ReadonlyArray<Buffer>
  readonly #unchanged: ReadonlyArray<string>

  /** Throws an `EncodeError` if `policy` takes a column from the key. */
  constructor(relation: Relation, types: TypeMapping, policy: ColumnPolicy) {
    const treatments = policy.treatmentsOf(relation)
    this.#relation = relation
    this.#columns = [...relation.columns.keys()].filter((column) => treatments[column] !== "exclude")
    const { columns } = relation
    this.#encoders = columns.map(({ type }, column) => isText(treatments[column]) ? treatments[column] : types.encoderOf(type))
    this.#unchanged = columns.map(({ type }, column) => isText(treatments[column]) ? types.unchangedText : types.unchangedOf(type))
    this.#labels = labels(this.#columns.map((column) => columns[column]!.name)).map((label) => Buffer.from(label))
    this.#keyLabels = labels(relation.key.map((column) => columns[column]!.name))
    this.#keyLabelBytes = this.#keyLabels.map((label) => Buffer.from(asConnectWrites(label)))
  }

  /** A whole row. A value that was not sent is taken from `old` (REPLICA IDENTITY FULL), else Debezium's placeholder. */
  row(tuple: Tuple, old: Tuple | undefined, into: ByteWriter): void {
    const columns = this.#columns
    const bytes = tuple instanceof RowBytes ? tuple : undefined
    for (let index = 0; index < columns.length; index++) {
      const column = columns[index]!
      into.bytes(this.#labels[index]!)
      if (bytes !== undefined && this.#copied(bytes, column, into)) continue
      const value = tuple.at(column)
      into.text(this.#valueText(column, value === undefined ? old?.at(column) : value))
    }
    into.text(columns.length === 0 ? "{}" : "}")
  }

  /** An old row of which only the identity's columns were sent: those are real, all others null, and nothing is invented. */
  partialRow(tuple: Tuple, into: ByteWriter): void {
    for (let index = 0; index < this.#columns.length; index++) {
      const column = this.#columns[index]!
      into.bytes(this.#labels[index]!)
      into.text(this.#valueText(column, tuple.at(column) ?? null))
    }
    into.text(this.#columns.length === 0 ? "{}" : "}")
  }

  /** Whether the column could be written as it came; if not, nothing was written. */
  #copied(row: RowBytes, column: number, into: ByteWriter): boolean {
    const ascii = this.#encoders[column]!.ascii
    return ascii !== undefined && row.start(column) >= 0 && into.ascii(ascii, row, column)
  }

  #valueText(column: number, value: string | null | undefined): string {
    return value === undefined ? this.#unchanged[column]! : value === null ? "null" : this.#encoders[column]!(value)
  }

  /** A row of which only its record's key is known: all other columns are null, or as if each was left out because it is too large. */
  rowOfKey(fields: ReadonlyMap<string, string>, others: "null" | "unavailable", into: ByteWriter): void {
    for (let index = 0; index < this.#columns.length; index++) {
      const column = this.#columns[index]!
      into.bytes(this.#labels[index]!)
      into.text(fields.get(this.#relation.columns[column]!.name) ?? (others === "null" ? others : this.#unchanged[column]!))
    }
    into.text(this.#columns.length === 0 ? "{}" : "}")
  }

  /**
   * The key's columns in primary-key order, undefined for a table without a key. A key column that was not sent because it is
   * stored out of line and did not change is taken from `old`. Throws an `EncodeError` if it is in neither.
   */
  key(tuple: Tuple, old: Tuple | undefined): string | undefined {
    const columns = this.#relation.key
    if (columns.length === 0) return undefined
    let json = ""
    for (let part = 0; part < columns.length; part++) json += this.#keyLabels[part]! + this.#keyValue(columns[part]!, tuple, old)
    return `${json}}`
  }

  /** The same as the record has it, and Kafka Connect writes it; false, and nothing, for a table without a key. */
  recordKey(tuple: Tuple, old: Tuple | undefined, into: ByteWriter): boolean {
    const columns = this.#relation.key
    if (columns.length === 0) return false
    const bytes = tuple instanceof RowBytes ? tuple : undefined
    for (let part = 0; part < columns.length; part++) {
      const column = columns[part]!
      into.bytes(this.#keyLabelBytes[part]!)
      if (bytes === undefined || !this.#copied(bytes, column, into)) into.text(asConnectWrites(this.#keyValue(column, tuple, old)))
    }
    into.text("}")
    return true
  }

  #keyValue(column: number, tuple: Tuple, old: Tuple | undefined): string {
    const value = tuple.at(column)
    const known = value === undefined ? old?.at(column) : value
    if (known === undefined) throw this.#keyNotSent([this.#relation.columns[column]!.name])
    return this.#valueText(column, known)
  }

  /** Whether an update moved the row to another key. Throws an `EncodeError` where nothing says whether it did. */
  keyChanged(before: Tuple | undefined, after: Tuple): boolean {
    const { columns, key, sendsOldKey } = this.#relation
    if (before === undefined) {
      if (sendsOldKey) return false
      throw this.#keyNotSent(key.map((column) => columns[column]!.name))
    }
    for (const column of key) {
      const [old, now] = [before.at(column), after.at(column)]
      if (old === undefined) throw this.#keyNotSent([columns[column]!.name])
      if (now !== undefined && now !== old) return true
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
        const value = tuple?.at(column)
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
