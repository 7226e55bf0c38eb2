import type { Tuple } from "../domain/RowChange.ts"

/**
 * Reads the text format of COPY: one row per line, columns parted by tabs, `\N` for NULL, control characters and
 * backslashes escaped. A line end inside of a value is always escaped, so that chunks can be cut at any byte.
 * Source: https://www.postgresql.org/docs/current/sql-copy.html, "Text Format"
 */
export class CopyText {
  #rest: Buffer = Buffer.alloc(0)

  /** The rows completed by `chunk`. */
  push(chunk: Buffer): Array<Tuple> {
    const bytes = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk])
    const end = bytes.lastIndexOf(lineEnd) + 1
    this.#rest = Buffer.from(bytes.subarray(end)) // the chunk's memory is not ours
    if (end === 0) return []
    const lines = bytes.toString("utf8", 0, end - 1).split("\n")
    const rows = new Array<Tuple>(lines.length)
    for (let index = 0; index < lines.length; index++) rows[index] = readLine(lines[index]!)
    return rows
  }
}

const lineEnd = 0x0a

const readLine = (line: string): Tuple => {
  const fields: Array<string | null> = line.split("\t")
  if (!line.includes("\\")) return fields
  for (let index = 0; index < fields.length; index++) {
    const field = fields[index]!
    if (field === "\\N") fields[index] = null
    else if (field.includes("\\")) fields[index] = field.replace(/\\(.)/gs, (_, escaped: string) => escapes[escaped] ?? escaped)
  }
  return fields
}

const escapes: Readonly<Record<string, string>> = { b: "\b", f: "\f", n: "\n", r: "\r", t: "\t", v: "\v" }
