import { readFileSync } from "node:fs"
import type { Oracle } from "../src/domain/Oracle.ts"

/**
 * What the aggregates should be, computed from the hub's base tables alone, in SQL written from the domain's
 * definitions and not from the pipelines: a second opinion, for `cdc verify` and the tests.
 */
export const oracles: ReadonlyArray<Oracle> = [
  { ...oracle("bit-scores", "outreach.bit_scores", "", "uuid"), driftSql: read("bit-scores/oracle/drift.sql") },
  oracle("campaign-totals", "outreach.campaigns", "", "uuid"),
  oracle("context-spend", "reporting.context_spend", "", "text"),
  oracle("legacy-mirrors", "bit.bit_signal", "bit-signal.", "text"),
  oracle("legacy-mirrors", "bit.bit_company_score", "company-score.", "text"),
  oracle("legacy-mirrors", "bit.bit_contact_score", "contact-score.", "uuid")
]

function read(file: string): string {
  return readFileSync(new URL(file, import.meta.url), "utf8")
}

function oracle(pipeline: string, target: string, file: string, keyType: Oracle["keyType"]): Oracle {
  return {
    pipeline,
    target,
    keyType,
    sql: read(`${pipeline}/oracle/${file}differences.sql`),
    unmanagedSql: read(`${pipeline}/oracle/${file}unmanaged.sql`)
  }
}
