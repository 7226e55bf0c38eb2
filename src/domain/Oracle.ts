/**
 * A second opinion on one aggregate table, in SQL on the base tables. Every query takes `$1 text[]` (only these keys;
 * null for all) and `$2 jsonb` (the pipeline's settings), ends without a semicolon, and finds `managed` and
 * `surrogates` of the state schema through the search path.
 */
export interface Oracle {
  readonly pipeline: string
  /** As `TableName.format` writes it. */
  readonly target: string
  /** What its queries compare `$1` as: other keys must not be asked for. */
  readonly keyType: "uuid" | "text"
  /** Rows `(key text, "column" text, stored text, expected text)`; the column is `(row)` where a whole row is too few or too many. */
  readonly sql: string
  /** One row `(compared bigint, unmanaged bigint)`: keys that were judged, rows that are nobody's to judge. */
  readonly unmanagedSql: string
  /** One row `(drifted bigint)`: values that were right when written, and that time alone has moved too far. */
  readonly driftSql?: string
}
