import { text } from "node:stream/consumers"
import type pg from "pg"
import { to as copyTo } from "pg-copy-streams"
import { quoteIdentifier } from "../../src/domain/SqlIdentifier.ts"
import * as TableName from "../../src/domain/TableName.ts"
import { seeded } from "../../src/embedded/hub/Random.ts"
import type { Table } from "./Database.ts"
import * as Drift from "./Drift.ts"
import { Session } from "./Session.ts"
import { deck, type Source, writable } from "./Statements.ts"

export interface WorkloadOptions {
  readonly database: pg.Client
  readonly databaseUrl: string
  readonly tables: ReadonlyArray<Table>
  readonly seed: number
  readonly transactions: number
}

export interface Done {
  /** By kind, and what became of the transactions. What was taken back is in here as well. */
  readonly counts: ReadonlyMap<string, number>
  /** Committed TRUNCATEs, by {@link TableName.format}. */
  readonly truncates: ReadonlyMap<string, number>
}

const sessionCount = 4
/** Below: keys of the tables' first rows. */
const firstKey = 1_000_000

/**
 * Random transactions on several sessions, statement by statement in turn, so that transactions interleave and commit in
 * another order than they began in; between them a table is altered. One statement is under way at a time, so the same seed
 * makes the same choices. What another session holds is soon refused, which is one more way for a transaction to fail.
 */
export const run = async ({ database, databaseUrl, seed, tables, transactions }: WorkloadOptions): Promise<Done> => {
  const random = seeded(seed, "workload")
  const sources = await keepPristine(database, tables.filter(({ name }) => TableName.format(name) !== Drift.table))
  const sessions = await Promise.all(Array.from({ length: sessionCount }, () => Session.open(databaseUrl, random.fraction())))
  const drift = Drift.make(database, transactions)
  const counts = new Map<string, number>()
  const truncates = new Map<string, number>()
  let unused = firstKey
  let over = 0

  const write = async (session: Session) => {
    const { kind, make } = random.pick(deck)
    const source = random.pick(sources)
    const statement = make(source, random, unused += 100)
    if (statement === undefined) return
    const isDone = await session.change(statement, kind === "TRUNCATE" ? [TableName.format(source.table.name)] : [])
    count(counts, isDone ? kind : "refused by the database")
  }
  const step = async (session: Session) => {
    const { committed = [], isOver, kind } = await session.step(random)
    count(counts, kind)
    for (const table of committed) count(truncates, table)
    if (isOver) await drift.advance(++over)
  }

  while (over < transactions || sessions.some(({ isOpen }) => isOpen)) {
    const session = random.pick(sessions)
    if (session.isOpen && (session.isFailed || over >= transactions || random.chance(0.3))) await step(session)
    else if (over < transactions) await write(session)
  }
  await drift.finish()
  for (const session of sessions) await session.close()
  return { counts, truncates }
}

const count = (map: Map<string, number>, what: string) => map.set(what, (map.get(what) ?? 0) + 1)

/** Copies of the tables' rows as they are now, in a schema that nobody captures. */
const keepPristine = async (database: pg.Client, tables: ReadonlyArray<Table>): Promise<ReadonlyArray<Source>> => {
  await database.query("create schema pristine")
  const sources: Array<Source> = []
  for (const [index, table] of tables.entries()) {
    const name = TableName.toSql(table.name)
    const pristine = `pristine.t${index}`
    await database.query(`create table ${pristine} as select * from ${name}`)
    const columns = writable(table).map(quoteIdentifier).join(", ")
    const rows = await text(database.query(copyTo(`copy (select ${columns} from ${name}) to stdout`)))
    sources.push({ table, pristine, lines: rows.split("\n").slice(0, -1) })
  }
  return sources
}
