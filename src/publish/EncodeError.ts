import type { Relation } from "../domain/RowChange.ts"
import * as TableName from "../domain/TableName.ts"

/**
 * A change that can't become a record, whatever is tried again: its table is set up in a way that loses its key, or its topic takes no
 * such record. It says nothing of any other table.
 */
export class EncodeError extends Error {
  readonly _tag = "EncodeError"
  readonly isRetryable = false
  /** As the change describes its table. */
  readonly relation: Relation
  /** Without the table's name: the cause, and what a person does about it first. */
  readonly why: string

  /** `then`: what is left to do when that is done. */
  constructor(relation: Relation, why: string, then?: string) {
    super(`${TableName.format(relation)}: ${why}${then === undefined ? "" : `, then ${then}`}`)
    this.name = "EncodeError"
    this.relation = relation
    this.why = why
  }
}
