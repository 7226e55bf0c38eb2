import { Schema } from "effect"

/**
 * What went wrong in Postgres, by what can be done about it; `isRetryable` is all that a retry policy reads.
 * `code` is the SQLSTATE (Postgres manual, appendix A) or Node's error code of the connection.
 */
export class PostgresError extends Schema.TaggedError<PostgresError>()("PostgresError", {
  reason: Schema.Literals(["unreachable", "contended", "forbidden", "pooled", "refused"]),
  code: Schema.String,
  message: Schema.String
}) {
  /** The same work may succeed if done again: the server was away, or another transaction was in the way. */
  get isRetryable(): boolean {
    return this.reason === "unreachable" || this.reason === "contended"
  }

  /** A lock was waited for as long as `lock_timeout` allows. */
  get isLockTimeout(): boolean {
    return this.code === lockNotAvailable
  }

  /** A column of the result has another type than when the statement was prepared: another connection prepares it anew. */
  get isOutdatedStatement(): boolean {
    return this.code === outdatedStatement
  }
}

/** Names the thing (`doing`), the cause and the remedy. Never quotes the statement or a row value: DETAIL, which may hold one, is not read. */
export const fromCause = (doing: string, cause: unknown): PostgresError => {
  const { message = String(cause), routine, ...error } = cause as { code?: string; message?: string; routine?: string }
  const code = routine === "RevalidateCachedQuery" ? outdatedStatement : error.code ?? "unknown"
  const reason = reasonOf(code, message)
  return new PostgresError({ reason, code, message: `${doing}: ${withoutValues(code, message, routine)} (${code})${remedyOfCode[code] ?? remedy[reason]}` })
}

const remedy = {
  unreachable: "; is Postgres up, and DATABASE_URL right?",
  contended: "",
  forbidden: "; check the role's name, password and rights",
  pooled: "; a connection pooler answers there, which has no replication: DATABASE_URL must be the database's direct endpoint",
  refused: ""
} as const

const missing = "; is DATABASE_URL the hub's? `cdc validate` says what is missing, and what to do"

/** Of what is not there (a table, a column, a schema), and of what passes by itself when somebody makes room. */
const remedyOfCode: Readonly<Record<string, string>> = {
  "42P01": missing,
  "42703": missing,
  "3F000": missing,
  "53300": "; the server has no connection left: end what is not needed, or raise max_connections, for replication max_wal_senders, and restart it",
  "53400": "; the server is at a limit: drop a replication slot that nobody reads, or raise max_replication_slots and restart it"
}

/** What PgBouncer says to a replication connection. */
const pooled = /unsupported startup parameter/

const lockNotAvailable = "55P03"
/** Class 26, "invalid SQL statement name". The server says 0A000 of it, which is any feature that is not supported. */
const outdatedStatement = "26000"

/** Serialization failure, deadlock, lock not available, a table altered since; a foreign key whose parent's delete is on its way. */
const contended = new Set(["40001", "40P01", lockNotAvailable, outdatedStatement, "23503"])

const reasonOf = (code: string, message: string): PostgresError["reason"] => {
  if (pooled.test(message)) return "pooled"
  if (contended.has(code)) return "contended"
  if (code === "42501" || code.startsWith("28")) return "forbidden"
  if (/^(08|53|58|57P|57014|25P0[34]|E[A-Z]+$)/.test(code) || /terminated|timeout (expired|exceeded)|Connection ended|not queryable|closed/i.test(message)) {
    return "unreachable"
  }
  return "refused"
}

/**
 * A message without what it may quote of a row. Class 22 (data exceptions) names the offending value behind a colon or in quotes,
 * which differ with `lc_messages`: what comes before them is kept. Who raises an error in a function may quote anything, whatever
 * SQLSTATE is chosen; `routine` is the server's C function that reported it.
 */
const withoutValues = (code: string, message: string, routine: string | undefined): string => {
  if (/^(P0|44)/.test(code) || raisedBy.test(routine ?? "")) {
    return "a function or check of the database refused it (its message is withheld, for it may hold a row's values)"
  }
  return code.startsWith("22") ? `${message.split(/\s*[:"'«»„“”‹›「『：]/u, 1)[0]!} (value withheld)` : message
}

/** PL/pgSQL's RAISE, PL/Python's and PL/Perl's errors. Source: `src/pl/` of PostgreSQL. */
const raisedBy = /^(exec_stmt_raise|PLy_|plperl_|pltcl_)/
