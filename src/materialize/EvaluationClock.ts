import { Context, Effect } from "effect"
import type { Sql } from "../connections/Postgres.ts"
import type { PostgresError } from "../connections/PostgresError.ts"

/**
 * The instant (µs) that rows are evaluated for. It is the database's: every instance has the same one, whatever its machine thinks. A
 * reference, so that tests can live through years, and a soak's processes through jumps; nothing that is configured can set it.
 */
export const EvaluationClock = Context.Reference<(sql: Sql) => Effect.Effect<bigint, PostgresError>>("cdc/materialize/EvaluationClock", {
  defaultValue: () => (sql) =>
    Effect.map(
      sql.query<{ now: bigint }>("Reading the clock", "select (extract(epoch from clock_timestamp()) * 1000000)::bigint as now"),
      ([row]) => row!.now
    )
})
