import { readFileSync } from "node:fs"
import type { Oracle } from "../src/domain/Oracle.ts"

/**
 * What the aggregates should be, computed from the hub's base tables alone, in SQL written from the domain's
 * definitions and not from the pipelines: a second opinion, for `cdc verify` and the tests.
 */
export const oracles: ReadonlyArray<Oracle> = [
  { ...oracle("bit-scores", "outreach.bit_scores", ""), driftSql: read("bit-scores/oracle/drift.sql") },
  oracle("campaign-totals", "outreach.campaigns", ""),
  oracle("legacy-mirrors", "bit.bit_signal", "bit-signal."),
  oracle("legacy-mirrors", "bit.bit_company_score", "company-score."),
  oracle("legacy-mirrors", "bit.bit_contact_score", "contact-score.")
]

function read(file: string): string {
  return readFileSync(new URL(file, import.meta.url), "utf8")
}

function oracle(pipeline: string, target: string, file: string): Oracle {
  return {
    pipeline,
    target,
    sql: read(`${pipeline}/oracle/${file}differences.sql`),
    unmanagedSql: read(`${pipeline}/oracle/${file}unmanaged.sql`)
  }
}
