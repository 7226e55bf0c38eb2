import { Effect } from "effect"
import type { PostgresError } from "../connections/PostgresError.ts"
import type { Sql } from "../connections/Postgres.ts"
import { type Finding, sentence } from "../domain/Finding.ts"
import type { Relation } from "../domain/RowChange.ts"
import { CaptureError } from "./CaptureError.ts"
import type { StoredServer } from "./Identity.ts"
import { checkSource, pooledProblem, publicationCheck, type SourceExpectations } from "./SourceChecks.ts"
import * as SourceFacts from "./SourceFacts.ts"

/**
 * What would fail, or break the source's own writes, once captured: found before anything is made, and all of it told at once. The
 * publication is left to `SlotState.ts`, which tells what setup may make from a gap.
 */
export const requireSuitable = Effect.fnUntraced(function*(
  sql: Sql,
  host: string,
  source: SourceFacts.SourceNames & SourceExpectations
): Effect.fn.Return<{ readonly server: StoredServer; readonly relations: ReadonlyArray<Relation> }, CaptureError | PostgresError> {
  yield* requireDirect(host)
  const facts = yield* SourceFacts.read(sql, host, source)
  const findings = checkSource(facts, source).filter(({ name }) => name !== publicationCheck).flatMap((check) => check.findings)
  yield* refuse(findings.filter(({ severity }) => severity === "error"))
  return { server: facts.server, relations: facts.tables.map(({ relation }) => relation!) }
})

/** A pooler must be told from a server that is away: it would be tried for ever. */
export const requireDirect = (host: string): Effect.Effect<void, CaptureError> => refuse(pooledProblem(host))

/** Fails with all of them at once; none: succeeds. */
export const refuse = (errors: ReadonlyArray<Finding>): Effect.Effect<void, CaptureError> => {
  if (errors.length === 0) return Effect.void
  const lines = errors.map(sentence)
  return Effect.fail(new CaptureError({
    reason: "unsuitable",
    message: lines.length === 1 ? lines[0]! : `${lines.length} things are in the way:\n${lines.map((line) => `- ${line}`).join("\n")}`
  }))
}
