import { Effect } from "effect"
import { AppConfig } from "../../src/Config.ts"
import { Postgres } from "../../src/connections/Postgres.ts"
import { makeCandidates } from "../../src/materialize/Candidate.ts"
import type { Materializer } from "../../src/materialize/Materializer.ts"
import type { Pipeline } from "../../src/materialize/Pipeline.ts"

/** The switch to a candidate, as a replay makes it. */
export const promote = Effect.fnUntraced(function*(pipeline: Pipeline, { generation }: Materializer) {
  const { source } = yield* AppConfig
  const postgres = yield* Postgres
  return yield* postgres.transaction((sql) => makeCandidates(source.stateSchema, pipeline).promote(sql, generation))
})

/** What running instances do after a switch, until there is nothing left of it. */
export const reconcile = Effect.fnUntraced(function*({ reconcile, retryPending }: Materializer) {
  while (yield* reconcile) { /* page by page */ }
  let settled = 0
  for (let last = 1; last > 0;) {
    last = (yield* retryPending).settled
    settled += last
  }
  return settled
})
