import type pg from "pg"

/** Values of one row, in the order of the columns. */
export type CopyRow = ReadonlyArray<string | number | bigint | null>

/**
 * Rows in the text format of COPY: one per line, columns parted by tabs, `\N` for NULL.
 * Source: https://www.postgresql.org/docs/current/sql-copy.html, "Text Format"
 */
export const copyText = (rows: ReadonlyArray<CopyRow>): string => {
  let text = ""
  for (const row of rows) {
    for (let column = 0; column < row.length; column++) {
      if (column > 0) text += "\t"
      const value = row[column]!
      text += value === null ? "\\N" : typeof value === "string" ? escaped(value) : value
    }
    text += "\n"
  }
  return text
}

const escaped = (text: string): string => special.test(text) ? text.replace(/[\\\t\n\r]/g, (character) => escapes[character]!) : text
const special = /[\\\t\n\r]/
const escapes: Readonly<Record<string, string>> = { "\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r" }

/**
 * A `COPY … FROM STDIN` whose rows are sent with it. pg-copy-streams sends them when the server says that it waits for them, a round trip
 * later; a server that refuses the statement ignores what came with it (Postgres manual, 54.2.6). Calls back as any query of `pg` does.
 */
export class CopyIn implements pg.Submittable {
  readonly #statement: string
  readonly #text: string
  /** Set by `pg`. */
  readonly callback: ((error: Error | null) => void) | undefined

  constructor(statement: string, text: string) {
    this.#statement = statement
    this.#text = text
  }

  submit(connection: pg.Connection): void {
    const copying = connection as unknown as Copying
    copying.query(this.#statement)
    copying.sendCopyFromChunk(Buffer.from(this.#text))
    copying.endCopyFrom()
  }

  handleCopyInResponse(): void {}

  handleCommandComplete(): void {}

  /** The last that `pg` says of it: then comes the next query. */
  handleError(error: Error): void {
    this.callback?.(error)
  }

  handleReadyForQuery(): void {
    this.callback?.(null)
  }
}

/** What `pg`'s types leave out. */
interface Copying {
  readonly query: (statement: string) => void
  readonly sendCopyFromChunk: (chunk: Buffer) => void
  readonly endCopyFrom: () => void
}
