import { readFileSync } from "node:fs"
import type pg from "pg"

/** The table that `drift.sql` alters, and nothing else writes. */
export const table = "zoo.drifting"

const statements = readFileSync(new URL("drift.sql", import.meta.url), "utf8").replaceAll(/^--.*\n/gm, "").trim().split(/;\n?/).filter((statement) => statement !== "")

/** Spreads the statements over the transactions of a workload. */
export const make = (database: pg.Client, transactions: number) => {
  let done = 0
  const upTo = async (count: number) => {
    for (; done < count; done++) await database.query(statements[done]!)
  }
  return {
    /** When so many transactions are over. */
    advance: (over: number) => upTo(Math.floor(Math.min(1, over / transactions) * statements.length)),
    finish: () => upTo(statements.length)
  }
}
