import type { Tuple } from "../domain/RowChange.ts"

/**
 * Reads the text format of COPY: one row per line, columns parted by tabs, `\N` for NULL, control characters and
 * backslashes escaped. A line end inside of a value is always escaped, so that chunks can be cut at any byte.
 * Source: https://www.postgresql.org/docs/current/sql-copy.html, "Text Format"
 */
export class CopyText {
  /** Of the line that is not complete yet. Joined only once its end is there, or a row of many chunks would be copied for each of them. */
  #begun: Array<Buffer> = []

  /** The rows completed by `chunk`. */
  push(chunk: Buffer): Array<Tuple> {
    const end = chunk.lastIndexOf(lineEnd)
    if (end === -1) {
      this.#begun.push(Buffer.from(chunk)) // the chunk's memory is not ours
      return []
    }
    const complete = chunk.subarray(0, end)
    const bytes = this.#begun.length === 0 ? complete : Buffer.concat([...this.#begun, complete])
    this.#begun = end + 1 === chunk.length ? [] : [Buffer.from(chunk.subarray(end + 1))]
    const lines = bytes.toString("utf8").split("\n")
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
