import { readFileSync } from "node:fs"

/**
 * What the aggregates should be, computed from the hub's base tables alone, in SQL written from the domain's
 * definitions and not from the pipelines: a second opinion, for `cdc verify` and the tests.
 *
 * Every query takes `$1 text[]` (only these keys; null for all) and `$2 jsonb` (the pipeline's settings), and finds
 * `managed` and `surrogates` of the state schema through the search path.
 */
export interface Oracle {
  readonly pipeline: string
  /** As `TableName.format` writes it. */
  readonly target: string
  /** Rows `(key text, "column" text, stored text, expected text)`; the column is `(row)` where a whole row is too few or too many. */
  readonly sql: string
  /** One row `(compared bigint, unmanaged bigint)`: keys that were judged, rows that are nobody's to judge. */
  readonly unmanagedSql: string
  /** One row `(drifted bigint)`: values that were right when written, and that time alone has moved too far. */
  readonly driftSql?: string
}

const read = (file: string): string => readFileSync(new URL(file, import.meta.url), "utf8")

const oracle = (pipeline: string, target: string, file: string): Oracle => ({
  pipeline,
  target,
  sql: read(`${pipeline}/oracle/${file}differences.sql`),
  unmanagedSql: read(`${pipeline}/oracle/${file}unmanaged.sql`)
})

export const oracles: ReadonlyArray<Oracle> = [
  { ...oracle("bit-scores", "outreach.bit_scores", ""), driftSql: read("bit-scores/oracle/drift.sql") },
  oracle("campaign-totals", "outreach.campaigns", ""),
  oracle("legacy-mirrors", "bit.bit_signal", "bit-signal."),
  oracle("legacy-mirrors", "bit.bit_company_score", "company-score."),
  oracle("legacy-mirrors", "bit.bit_contact_score", "contact-score.")
]
