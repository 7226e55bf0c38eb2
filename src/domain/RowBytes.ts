import type { Tuple } from "./RowChange.ts"

/** Where a column's text would start: it is NULL, or is not there. */
const isNull = -1
const isAbsent = -2

/**
 * A row as Postgres sent it: its columns are stretches of bytes, in UTF-8, and a string is made of one only where it is asked for. Most never
 * are: they go into a record as they came. The bytes lie among others, and stay as they are.
 */
export class RowBytes implements Tuple {
  readonly bytes: Buffer
  readonly length: number
  /** Two numbers per column: where its text starts and ends. */
  readonly #places: Array<number>

  constructor(bytes: Buffer, columns: number) {
    this.bytes = bytes
    this.length = columns
    this.#places = new Array<number>(2 * columns)
  }

  setText(column: number, start: number, end: number): void {
    this.#places[2 * column] = start
    this.#places[2 * column + 1] = end
  }

  setMissing(column: number, as: null | undefined): void {
    this.#places[2 * column] = as === null ? isNull : isAbsent
  }

  /** Negative: it has no text. */
  start(column: number): number {
    return this.#places[2 * column]!
  }

  end(column: number): number {
    return this.#places[2 * column + 1]!
  }

  at(column: number): string | null | undefined {
    const start = this.#places[2 * column]
    if (start === undefined || start < 0) return start === isNull ? null : undefined
    return this.bytes.toString("utf8", start, this.#places[2 * column + 1])
  }
}
