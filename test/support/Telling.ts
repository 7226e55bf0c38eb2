import { Effect } from "effect"
import { Postgres, type Sql } from "../../src/connections/Postgres.ts"

/** What a process does to the database within a transaction, told as it is about to do it; after the commit, `committed`. */
export type Tell = (doing: string) => Effect.Effect<void>
export const committed = "committed"

/** The same Postgres, of which every step of a transaction is told, and may be the last. */
export const telling = (postgres: Postgres["Service"], tell: Tell): Postgres["Service"] => {
  const on = (sql: Sql): Sql => ({
    query: (doing, statement, parameters) => Effect.andThen(tell(doing), sql.query(doing, statement, parameters)) as never,
    copy: (doing, statement, rows) => Effect.andThen(tell(doing), sql.copy(doing, statement, rows))
  })
  return Postgres.of({
    ...postgres,
    transaction: (work) => Effect.tap(postgres.transaction((sql) => Effect.tap(work(on(sql)), () => tell("Committing"))), () => tell(committed))
  })
}
