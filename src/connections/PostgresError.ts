import { Schema } from "effect"

/**
 * What went wrong in Postgres, by what can be done about it; `isRetryable` is all that a retry policy reads.
 * `code` is the SQLSTATE (Postgres manual, appendix A) or Node's error code of the connection.
 */
export class PostgresError extends Schema.TaggedError<PostgresError>()("PostgresError", {
  reason: Schema.Literals(["unreachable", "contended", "forbidden", "refused"]),
  code: Schema.String,
  message: Schema.String
}) {
  /** The same work may succeed if done again: the server was away, or another transaction was in the way. */
  get isRetryable(): boolean {
    return this.reason === "unreachable" || this.reason === "contended"
  }
}

/** Names the thing (`doing`), the cause and the remedy. Never quotes the statement or a row value (`detail` may hold one). */
export const fromCause = (doing: string, cause: unknown): PostgresError => {
  const { code = "unknown", message = String(cause) } = cause as { code?: string; message?: string }
  const reason = reasonOf(code, message)
  return new PostgresError({ reason, code, message: `${doing}: ${withoutValues(code, message)} (${code})${remedy[reason]}` })
}

const remedy = {
  unreachable: "; is Postgres up, and DATABASE_URL right?",
  contended: "",
  forbidden: "; check the role's name, password and rights",
  refused: ""
} as const

/** Serialization failure, deadlock, lock not available; a foreign key whose parent's delete is on its way. */
const contended = new Set(["40001", "40P01", "55P03", "23503"])

const reasonOf = (code: string, message: string): PostgresError["reason"] => {
  if (contended.has(code)) return "contended"
  if (code === "42501" || code.startsWith("28")) return "forbidden"
  if (/^(08|53|58|57P|57014|25P03|E[A-Z]+$)/.test(code) || /terminated|timeout expired|Connection ended|not queryable|closed/i.test(message)) {
    return "unreachable"
  }
  return "refused"
}

/** Class 22 (data exceptions) quotes the offending value in its message: keep what comes before it. Who raises P0 or 44 in a function may quote any. */
const withoutValues = (code: string, message: string): string =>
  /^(P0|44)/.test(code) ? "a function or check of the database refused it (its message is withheld, for it may hold a row's values)"
    : code.startsWith("22") ? message.replace(/: ".*$/s, "").replace(/".*"/s, "(value withheld)") : message
