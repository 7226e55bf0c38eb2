import { Effect } from "effect"
import type { Sql } from "../connections/Postgres.ts"
import type { PostgresError } from "../connections/PostgresError.ts"
import { makeAnnouncedStore } from "./AnnouncedStore.ts"
import { newsOf } from "./Announcing.ts"
import type { Group } from "./Pipeline.ts"
import type { StateTables } from "./StateTables.ts"
import type { WantedRow } from "./TargetWriter.ts"

/** Tells of rows, once it is known which were written and which were as wanted. */
type Tell = (rows: { readonly changed: ReadonlyArray<string>; readonly equal: ReadonlyArray<string> }) => Effect.Effect<void, PostgresError>

/**
 * Announces the rows of a group in the transaction that writes them. What was told before is read before the hub's rows are held. Rows that
 * somebody holds, or that are not there, are not told of: they are when they are written.
 */
export const makeAnnouncer = (tables: StateTables, pipeline: string, group: Group) => {
  const { announce } = group
  const store = makeAnnouncedStore(tables, pipeline, group)

  const begin = Effect.fnUntraced(function*(sql: Sql, rows: ReadonlyArray<WantedRow>): Effect.fn.Return<Tell, PostgresError> {
    if (announce === undefined || rows.length === 0) return () => Effect.void
    const told = yield* store.read(sql, rows.map(({ key }) => key))
    return ({ changed, equal }) => {
      const [written, asTheyWere] = [new Set(changed), new Set(equal)]
      const news = rows.flatMap(({ columns, key, now, standing }) => {
        const isThere = written.has(key) || asTheyWere.has(key)
        if (!isThere || standing === null || standing === undefined) return []
        return newsOf(announce, { key, columns, now, standing, isWritten: written.has(key) }, told.get(key)) ?? []
      })
      return store.tell(sql, news)
    }
  })

  return { begin }
}
