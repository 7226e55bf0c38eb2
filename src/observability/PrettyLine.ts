/**
 * A line of pino for a person: `12:03:44 INFO  published topic=hub.outreach.campaigns count=120`.
 * Ours, because pino-pretty would be one more dependency for these few lines, which a person reads and nothing parses.
 */
export const prettyLine = (line: string, color: boolean): string => {
  const { hostname: _hostname, level, msg, pid: _pid, span_id: _span, time, trace_id: _trace, ...rest } = JSON.parse(line) as Record<string, unknown>
  const { err, ...fields } = rest as { err?: { message?: string; stack?: string } }
  const [name, code] = levelOf(Number(level))
  const paint = (code: number, text: string) => color ? `\u001B[${code}m${text}\u001B[0m` : text
  const pairs = Object.entries(fields).map(([key, value]) => ` ${paint(dim, `${key}=`)}${format(value)}`).join("")
  const clock = new Date(Number(time)).toISOString().slice(11, 19)
  const failure = err === undefined ? "" : ` ${err.stack ?? err.message}`
  return `${paint(dim, clock)} ${paint(code, name.padEnd(5))} ${printable(String(msg ?? ""))}${pairs}${failure}\n`
}

const dim = 2

const levelOf = (level: number): readonly [name: string, color: number] => {
  if (level >= 50) return ["ERROR", 31]
  if (level >= 40) return ["WARN", 33]
  if (level >= 30) return ["INFO", 32]
  return [level >= 20 ? "DEBUG" : "TRACE", 36]
}

const format = (value: unknown): string =>
  typeof value === "string" && /^[\w./:-]+$/.test(value) ? value : JSON.stringify(value)

/** A name from a database must not steer the terminal. */
// oxlint-disable-next-line no-control-regex
const printable = (text: string): string => text.replace(/[\u0000-\u0008\u000B-\u001F\u007F]/g, "�")
