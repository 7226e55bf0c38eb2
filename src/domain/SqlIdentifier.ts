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

const identifier = String.raw`(?:[a-z_][a-z0-9_$]*|"(?:[^"]|"")+")`
const path = new RegExp(`^${identifier}(?:\\.${identifier})*$`)

/**
 * The names of a dotted path in Postgres' own spelling, `zoo."Sp ace".id`: plain where Postgres needs no quotes, quoted
 * elsewhere. undefined: it is none.
 */
export const parsePath = (text: string): ReadonlyArray<string> | undefined =>
  path.test(text)
    ? text.match(new RegExp(identifier, "g"))!.map((name) => (name.startsWith("\"") ? name.slice(1, -1).replaceAll("\"\"", "\"") : name))
    : undefined

/** The same for people and for maps: quoted only where needed, so it is unambiguous. */
export const formatPath = (names: ReadonlyArray<string>): string =>
  names.map((name) => (/^[a-z_][a-z0-9_$]*$/.test(name) ? name : quoteIdentifier(name))).join(".")

/** The parts of a comma-separated list; a comma inside of quotes does not separate. */
export const splitList = (text: string): ReadonlyArray<string> =>
  (text.match(/(?:[^,"]|"(?:[^"]|"")*"?)+/g) ?? []).map((name) => name.trim()).filter((name) => name !== "")
