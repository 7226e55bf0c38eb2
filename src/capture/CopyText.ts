import { RowBytes } from "../domain/RowBytes.ts"

/**
 * Reads the text format of COPY: one row per line, columns parted by tabs, `\N` for NULL, control characters and
 * backslashes escaped. A line end inside of a value is always escaped, so that chunks can be cut at any byte.
 * Source: https://www.postgresql.org/docs/current/sql-copy.html, "Text Format"
 */
export class CopyText {
  readonly #columns: number
  /** Of the line that is not complete yet. Joined only once its end is there, or a row of many chunks would be copied for each of them. */
  #begun: Array<Buffer> = []

  /** `columns`: of each row. */
  constructor(columns: number) {
    this.#columns = columns
  }

  /** The rows completed by `chunk`. */
  push(chunk: Buffer): Array<RowBytes> {
    const end = chunk.lastIndexOf(lineEnd) + 1
    if (end === 0) {
      this.#begun.push(Buffer.from(chunk)) // the chunk's memory is not ours
      return []
    }
    const lines = Buffer.concat([...this.#begun, chunk.subarray(0, end)])
    this.#begun = end === chunk.length ? [] : [Buffer.from(chunk.subarray(end))]
    return readLines(lines, this.#columns)
  }
}

const lineEnd = 0x0a
const tab = 0x09
const backslash = 0x5c
const letterN = 0x4e

/** Values are unescaped where they are, since that never makes them longer. */
const readLines = (lines: Buffer, columns: number): Array<RowBytes> => {
  const rows: Array<RowBytes> = []
  for (let at = 0; at < lines.length;) {
    const row = new RowBytes(lines, columns)
    for (let column = 0, ended = false; !ended; column++) {
      const start = at
      let escapes = 0
      for (; lines[at] !== tab && lines[at] !== lineEnd; at++) {
        if (lines[at] === backslash) {
          escapes++
          at++ // what is escaped ends nothing
        }
      }
      if (escapes === 0) row.setText(column, start, at)
      else if (at === start + 2 && lines[start + 1] === letterN) row.setMissing(column, null)
      else row.setText(column, start, unescape(lines, start, at))
      ended = lines[at++] === lineEnd
    }
    rows.push(row)
  }
  return rows
}

/** Returns where the value ends now. */
const unescape = (bytes: Buffer, start: number, end: number): number => {
  let to = start
  for (let at = start; at < end; at++) {
    const byte = bytes[at]!
    bytes[to++] = byte === backslash ? escaped[bytes[++at]!]! : byte
  }
  return to
}

/** By the character behind the backslash: what both stand for. */
const escaped = Uint8Array.from({ length: 256 }, (_, code) => code)
for (const [letter, character] of Object.entries({ b: "\b", f: "\f", n: "\n", r: "\r", t: "\t", v: "\v" })) {
  escaped[letter.charCodeAt(0)] = character.charCodeAt(0)
}
