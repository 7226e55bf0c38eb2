import { Effect } from "effect"
import { readFileSync } from "node:fs"
import { Postgres } from "../../connections/Postgres.ts"
import { tablesOf } from "./Generator.ts"
import { insertAll } from "./Insert.ts"
import type { Sample } from "./SampleRows.ts"

const fewestCompanies = 10 // for one scored outreach and one that is not
const schema = readFileSync(new URL("schema.sql", import.meta.url), "utf8")

/** Creates the hub's tables where they are missing; what is there stays as it is. */
export const createSchema = Effect.fn("Hub.createSchema")(function*() {
  const postgres = yield* Postgres
  yield* postgres.transaction((sql) => sql.query("Creating the sample hub's tables", schema))
})

export interface Seeded {
  /** False if the hub had companies already; then nothing was written. */
  readonly wasEmpty: boolean
  readonly rows: number
}

/** Fills an empty hub, all of it or (interrupted) nothing. The same options give the same rows, but for their ages. */
export const seed = Effect.fn("Hub.seed")(function*(options: {
  /** How many companies, 10 at least; everything else is in proportion. Default 2,000. */
  readonly companies?: number
  readonly seed?: number
  readonly badInput?: boolean
  readonly nowMillis?: number
}) {
  const postgres = yield* Postgres
  const sample: Sample = {
    companies: Math.max(fewestCompanies, options.companies ?? 2_000),
    seed: options.seed ?? 1,
    badInput: options.badInput ?? false,
    nowMillis: options.nowMillis ?? Date.now()
  }
  return yield* postgres.transaction((sql) =>
    Effect.gen(function*() {
      // Two that start at once: the second waits here, and finds the rows.
      yield* sql.query("Seeding the sample hub", "lock table cl.company_identity in share row exclusive mode")
      const [first] = yield* sql.query("Seeding the sample hub", "select from cl.company_identity limit 1")
      if (first !== undefined) return { wasEmpty: false, rows: 0 } satisfies Seeded
      let rows = 0
      for (const { table, rows: made } of tablesOf(sample)) rows += yield* insertAll(sql, table, made)
      yield* sql.query("Seeding the sample hub", "analyze") // so that the snapshot can say how far it is
      return { wasEmpty: true, rows } satisfies Seeded
    })
  )
})

/** Tables and rows of a hub that is ready to be captured. */
export const prepare = (options: Parameters<typeof seed>[0]) => Effect.andThen(createSchema(), seed(options))
