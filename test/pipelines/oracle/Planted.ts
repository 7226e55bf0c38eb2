import { Effect } from "effect"
import { oracles } from "../../../pipelines/Oracle.ts"
import { AppConfig } from "../../../src/Config.ts"
import { Postgres, type Sql } from "../../../src/connections/Postgres.ts"

export type Statement = string | readonly [statement: string, ...parameters: ReadonlyArray<unknown>]

/** Does what `statements` say, asks every oracle whose target is there, and takes it all back: `target key column: stored → expected`. */
export const differencesAfter = Effect.fnUntraced(function*(...statements: ReadonlyArray<Statement>) {
  const postgres = yield* Postgres
  const { pipelineSettings } = yield* AppConfig
  const asked = postgres.transaction((sql) =>
    Effect.gen(function*() {
      for (const planted of statements) {
        const [statement, ...parameters] = typeof planted === "string" ? [planted] : planted
        yield* sql.query("Planting", statement, parameters)
      }
      return yield* Effect.fail({ found: yield* ask(sql, pipelineSettings) })
    })
  )
  return yield* asked.pipe(Effect.catch((error) => "found" in error ? Effect.succeed(error.found) : Effect.fail(error)))
})

const ask = Effect.fnUntraced(function*(sql: Sql, settings: Readonly<Record<string, unknown>>) {
  yield* sql.query("Setting the path", "set local search_path = cdc")
  yield* sql.query("Setting the zone", "set local timezone = 'UTC'")
  const found: Array<string> = []
  const there = yield* sql.query<{ target: string }>("Looking", "select target from unnest($1::text[]) as n(target) where to_regclass(target) is not null", [oracles.map(({ target }) => target)])
  for (const oracle of oracles.filter(({ target }) => there.some((row) => row.target === target))) {
    const rows = yield* sql.query<Record<string, string | null>>(oracle.target, oracle.sql, [null, settings[oracle.pipeline] ?? {}])
    for (const { column, expected, key, stored } of rows) found.push(`${oracle.target} ${key} ${column}: ${stored} → ${expected}`)
  }
  return found.toSorted()
})

/** What an oracle counts as compared, unmanaged and drifted. */
export const countsOf = Effect.fnUntraced(function*(target: string) {
  const postgres = yield* Postgres
  const { pipelineSettings } = yield* AppConfig
  const oracle = oracles.find((one) => one.target === target)!
  return yield* postgres.transaction((sql) =>
    Effect.gen(function*() {
      yield* sql.query("Setting the path", "set local search_path = cdc")
      const [row] = yield* sql.query<{ compared: bigint; unmanaged: bigint }>(target, oracle.unmanagedSql, [null, pipelineSettings[oracle.pipeline] ?? {}])
      const drift = oracle.driftSql === undefined ? [] : yield* sql.query<{ drifted: bigint }>(target, oracle.driftSql, [null, pipelineSettings[oracle.pipeline] ?? {}])
      return { ...row!, ...drift[0] }
    })
  )
})
