import { Effect } from "effect"
import { Postgres } from "../connections/Postgres.ts"
import * as TableName from "../domain/TableName.ts"
import { mirrorKey } from "../materialize/MirrorWriter.ts"
import { makePendingKeys } from "../materialize/PendingKeys.ts"
import type { Pipeline } from "../materialize/Pipeline.ts"
import { stateTables } from "../materialize/StateTables.ts"
import type { TargetVerdict } from "./Verify.ts"

/**
 * Has the running pipelines write what differs again, from state: a hand edit of a column that a pipeline owns, for one. Their keys
 * become pending, in the way of any row that was held. Returns how many; where state itself is wrong, the rows will differ again.
 */
export const repair = Effect.fnUntraced(function*(
  targets: ReadonlyArray<TargetVerdict>,
  pipelines: ReadonlyArray<Pipeline>,
  stateSchema: string
) {
  const postgres = yield* Postgres
  let count = 0
  for (const { differences, pipeline: name, target } of targets) {
    const pipeline = pipelines.find((pipeline) => pipeline.name === name)!
    const keys = [...new Set(differences.map(({ key }) => pendingKeyOf(pipeline, target, key)))]
    yield* makePendingKeys(stateTables(stateSchema, name, 1), name).add(postgres, new Map([[target, keys]]), { rested: () => true }) // a person asks for it
    count += keys.length
  }
  return count
})

/** The oracle of a mirror names a row by its source table and key (`outreach.bit_signals:<uuid>`). */
const pendingKeyOf = (pipeline: Pipeline, target: string, key: string): string => {
  if (pipeline.mirror === undefined || TableName.format(pipeline.mirror.target.table) !== target) return key
  const colon = key.indexOf(":")
  const source = pipeline.sources.findIndex(({ table }) => TableName.format(table) === key.slice(0, colon))
  return mirrorKey({ source, key: key.slice(colon + 1) })
}
