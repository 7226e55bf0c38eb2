import { keyColumnsOf, type Chunk } from "../capture/ChunkReader.ts"
import type { Relation, Tuple } from "../domain/RowChange.ts"
import type { Watcher } from "./Watermarks.ts"

/**
 * The rows of a chunk that the stream has not touched since it was read. Until the rows are there the touched keys are remembered; from then on
 * they are struck off, so that what is held depends on the chunk and on how long its query takes, not on how much is written.
 */
export class Untouched implements Watcher {
  #touched: Set<string> | undefined = new Set()
  #isTruncated = false
  #rows = new Map<string, Tuple>()
  #keyColumns: ReadonlyArray<string> | undefined
  #describedKey: ReadonlyArray<string> | undefined
  #overflown = false

  readonly key = (key: string): void => {
    if (this.#touched === undefined) this.#rows.delete(key)
    else if (this.#touched.size < mostTouched) this.#touched.add(key)
    else this.#overflown = true
  }

  /** Nothing older is left in the table, and what came after is in the stream. */
  readonly truncated = (): void => {
    this.#isTruncated = true
    this.#rows.clear()
  }

  readonly described = (relation: Relation): void => {
    this.#describedKey = keyColumnsOf(relation)
  }

  /** `keyOf`: the text that the records of such a row have. */
  fill(chunk: Chunk, keyOf: (row: Tuple) => string): void {
    this.#keyColumns = chunk.keyColumns
    for (const row of this.#isTruncated ? [] : chunk.rows) {
      const key = keyOf(row)
      if (!this.#touched!.has(key)) this.#rows.set(key, row)
    }
    this.#touched = undefined
  }

  /** undefined: which ones they are is not known, because their keys don't compare with those of the stream, or too many went by. */
  get rows(): ReadonlyArray<Tuple> | undefined {
    const isComparable = this.#describedKey === undefined || this.#describedKey.join() === this.#keyColumns?.join()
    return isComparable && !this.#overflown ? [...this.#rows.values()] : undefined
  }
}

/** Some 100 MB. A chunk's query takes tens of milliseconds, in which the stream brings some thousands. */
const mostTouched = 500_000
