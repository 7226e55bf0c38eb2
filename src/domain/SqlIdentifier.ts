/**
 * The one place where a name becomes SQL text; values never do, they are parameters.
 * Source: https://www.postgresql.org/docs/current/sql-syntax-lexical.html#SQL-SYNTAX-IDENTIFIERS
 */
export const quoteIdentifier = (name: string): string => {
  if (name.length === 0 || name.includes("\0")) throw new SyntaxError("An SQL identifier can't be empty or hold a zero byte")
  return `"${name.replaceAll("\"", "\"\"")}"`
}

/** A text literal, for the replication commands, which take no parameters. */
export const quoteLiteral = (text: string): string => {
  if (text.includes("\0")) throw new SyntaxError("An SQL literal can't hold a zero byte")
  const quoted = `'${text.replaceAll("'", "''")}'`
  return text.includes("\\") ? ` E${quoted.replaceAll("\\", "\\\\")}` : quoted
}
