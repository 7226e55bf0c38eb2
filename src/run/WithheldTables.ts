import { Effect } from "effect"
import type { CapturedTables } from "../capture/CapturedTables.ts"
import { Postgres } from "../connections/Postgres.ts"
import type { PostgresError } from "../connections/PostgresError.ts"
import * as Lsn from "../domain/Lsn.ts"
import type { RowChange } from "../domain/RowChange.ts"
import * as TableName from "../domain/TableName.ts"
import type { EncodeError } from "../publish/EncodeError.ts"

/**
 * Tables of which a change could not be published. None of their changes is, from then on until they are read again: a topic that stands
 * still as it was at some time is better than one that has some of what came later. Which changes are left out follows from their commits'
 * LSNs alone, so that it is the same when they are streamed again.
 */
export interface WithheldTables {
  /** Those of `changes` that are to be published. */
  readonly publishable: (changes: ReadonlyArray<RowChange>) => ReadonlyArray<RowChange>
  /** Nothing of the table is published from now on, and it has a gap. Once it succeeds, both hold for later processes too. */
  readonly withhold: (error: EncodeError) => Effect.Effect<void, PostgresError, Postgres>
  /** At a watermark, before the first rows of a table's re-read: if that ends its gap, what commits from there on is published again. */
  readonly publishFrom: (table: TableName.TableName, lsn: Lsn.Lsn) => Effect.Effect<void, PostgresError, Postgres>
}

/** For one session of capture, from what earlier ones have noted. */
export const open = Effect.fnUntraced(function*(captured: CapturedTables): Effect.fn.Return<WithheldTables, PostgresError, Postgres> {
  const until = new Map<string, Lsn.Lsn>()
  for (const [name, { publishedFrom }] of yield* captured.load(yield* Postgres)) {
    if (publishedFrom !== undefined) until.set(name, publishedFrom)
  }
  return {
    publishable: (changes) => {
      if (until.size === 0 || changes.length === 0) return changes
      const { commitLsn } = changes[0]!.transaction
      for (const [name, lsn] of until) if (lsn <= commitLsn) until.delete(name) // the stream has passed it
      return until.size === 0 ? changes : changes.filter(isPublished(until))
    },
    withhold: Effect.fnUntraced(function*(error) {
      yield* captured.withhold(yield* Postgres, error.relation, error.why)
      until.set(TableName.format(error.relation), Lsn.last)
      yield* Effect.logError(`a change can't be published, and nothing more of its table is: ${error.message}`)
    }),
    publishFrom: Effect.fnUntraced(function*(table, lsn) {
      if (yield* captured.publishFrom(yield* Postgres, table, lsn)) until.set(TableName.format(table), lsn)
    })
  }
})

/** Changes of one table come in runs: its name is asked for once per run. */
const isPublished = (until: ReadonlyMap<string, Lsn.Lsn>) => {
  let relation: RowChange["relation"] | undefined
  let from: Lsn.Lsn | undefined
  return (change: RowChange): boolean => {
    if (change.relation !== relation) {
      relation = change.relation
      from = until.get(TableName.format(relation))
    }
    return from === undefined || change.transaction.commitLsn >= from
  }
}
