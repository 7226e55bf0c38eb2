import { Effect } from "effect"
import type { Sql } from "../connections/Postgres.ts"
import type { PostgresError } from "../connections/PostgresError.ts"
import { makeAnnouncedStore } from "./AnnouncedStore.ts"
import { newsOf } from "./Announcing.ts"
import type { Group } from "./Pipeline.ts"
import type { StateTables } from "./StateTables.ts"
import type { WantedRow } from "./TargetWriter.ts"

interface Announcing {
  /** Tells of rows, once it is known which were written and which were as wanted. */
  readonly tell: (rows: { readonly changed: ReadonlyArray<string>; readonly equal: ReadonlyArray<string> }) => Effect.Effect<void, PostgresError>
  /** Whether a row of this key was ever seen: of each that is, something is remembered. */
  readonly wasThere: (key: string) => boolean
}

const nothing: Announcing = { tell: () => Effect.void, wasThere: () => false }

/**
 * Announces the rows of a group in the transaction that writes them. What was told before is read before the hub's rows are held. Rows that
 * somebody holds, or that are not there, are not told of: they are when they are written.
 */
export const makeAnnouncer = (tables: StateTables, pipeline: string, group: Group) => {
  const { announce } = group
  const store = makeAnnouncedStore(tables, pipeline, group)

  const begin = Effect.fnUntraced(function*(sql: Sql, rows: ReadonlyArray<WantedRow>): Effect.fn.Return<Announcing, PostgresError> {
    if (announce === undefined || rows.length === 0) return nothing
    const told = yield* store.read(sql, rows.map(({ key }) => key))
    const tell: Announcing["tell"] = ({ changed, equal }) => {
      const [written, asTheyWere] = [new Set(changed), new Set(equal)]
      const news = rows.flatMap(({ columns, key, now, standing }) => {
        const isThere = written.has(key) || asTheyWere.has(key)
        if (!isThere || standing === null || standing === undefined) return []
        return newsOf(announce, { key, columns, now, standing, isWritten: written.has(key) }, told.get(key)) ?? []
      })
      return store.tell(sql, news)
    }
    return { tell, wasThere: (key) => told.has(key) }
  })

  return { begin }
}
