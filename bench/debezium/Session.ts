import { finished } from "node:stream/promises"
import pg from "pg"
import { from as copyFrom } from "pg-copy-streams"
import type { Random } from "../../src/embedded/hub/Random.ts"

/** Below the server's `deadlock_timeout`: the statement gives way, not the other session. */
const lockTimeout = "20ms"

export type Statement =
  | { readonly sql: string }
  /** `rows` in COPY's text format, a line each. */
  | { readonly copy: string; readonly rows: ReadonlyArray<string> }

/** What a transaction did that has to be remembered if it commits, and only then. */
export type Effects = ReadonlyArray<string>

/** One connection and its transaction, with savepoints inside savepoints. */
export class Session {
  readonly #client: pg.Client
  /** What was done since the beginning, since the first savepoint, the second …; empty: no transaction is open. */
  #levels: Array<Array<string>> = []
  isFailed = false

  private constructor(client: pg.Client) {
    this.#client = client
  }

  /** `seed` from -1 to 1 makes the session's random() say the same every time. */
  static async open(databaseUrl: string, seed: number): Promise<Session> {
    const client = new pg.Client({ connectionString: databaseUrl })
    await client.connect()
    await client.query(`set lock_timeout = '${lockTimeout}'`)
    await client.query("select setseed($1)", [seed])
    return new Session(client)
  }

  get isOpen(): boolean {
    return this.#levels.length > 0
  }

  /** Runs one statement inside the transaction; false if the database refused it, which fails the transaction. */
  async change(statement: Statement, effects: Effects): Promise<boolean> {
    if (!this.isOpen) await this.#begin()
    try {
      if ("copy" in statement) await this.#copy(statement.copy, statement.rows)
      else await this.#client.query(statement.sql)
      this.#levels.at(-1)!.push(...effects)
      return true
    } catch (error) {
      if (!(error instanceof pg.DatabaseError)) throw error
      this.isFailed = true
      return false
    }
  }

  /** One step of the transaction's life. Answers what was done; `committed` has the effects that now hold. */
  async step(random: Random): Promise<{ readonly kind: string; readonly committed?: Effects; readonly isOver: boolean }> {
    const savepoints = this.#levels.length - 1
    const choice = random.fraction()
    if (savepoints > 0 && choice < (this.isFailed ? 0.6 : 0.25)) {
      const level = random.between(1, savepoints)
      await this.#client.query(`rollback to savepoint s${level}`)
      this.#levels.splice(level, Infinity, [])
      this.isFailed = false
      return { kind: "rollback to savepoint", isOver: false }
    }
    if (this.isFailed || choice > 0.92) {
      await this.#client.query("rollback")
      this.#end()
      return { kind: "rollback", isOver: true }
    }
    if (choice < 0.5) {
      await this.#client.query(`savepoint s${savepoints + 1}`)
      this.#levels.push([])
      return { kind: "savepoint", isOver: false }
    }
    await this.#client.query("commit")
    return { kind: "commit", committed: this.#end(), isOver: true }
  }

  async close(): Promise<void> {
    await this.#client.end()
  }

  async #begin(): Promise<void> {
    await this.#client.query("begin")
    this.#levels = [[]]
  }

  #end(): Effects {
    const effects = this.#levels.flat()
    this.#levels = []
    this.isFailed = false
    return effects
  }

  async #copy(statement: string, rows: ReadonlyArray<string>): Promise<void> {
    const stream = this.#client.query(copyFrom(statement))
    stream.end(rows.map((row) => `${row}\n`).join(""))
    await finished(stream)
  }
}
