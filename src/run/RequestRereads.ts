import { Effect } from "effect"
import { CaptureError } from "../capture/CaptureError.ts"
import * as CaptureState from "../capture/CaptureState.ts"
import * as Catalogue from "../capture/Catalogue.ts"
import * as CapturedTables from "../capture/CapturedTables.ts"
import * as ChunkReader from "../capture/ChunkReader.ts"
import * as Rereads from "../capture/Rereads.ts"
import { AppConfig, ConfigurationError } from "../Config.ts"
import { Postgres } from "../connections/Postgres.ts"
import * as Remedy from "../domain/Remedy.ts"
import * as TableName from "../domain/TableName.ts"
import * as TableRepair from "./TableRepair.ts"

/**
 * Asks for captured tables to be read again, all of them or, if one can't be, none. A table that has a gap is put back first; without a
 * condition each is swept afterwards. A running capture takes the requests up when they commit, a later one when it starts.
 */
export const requestRereads = Effect.fnUntraced(function*(names: ReadonlyArray<string>, condition: string | undefined) {
  const { source } = yield* AppConfig
  const sql = yield* Postgres
  const rereads = Rereads.make(source.stateSchema, source.slot)
  const tables = yield* Effect.forEach(names, capturedTable)
  if ((yield* CaptureState.make(source.stateSchema, source.slot).load(sql)) === undefined) {
    return yield* new CaptureError({ reason: "notSetUp", message: `Replication slot ${source.slot} is not set up in this database: run \`cdc setup\` first.` })
  }
  yield* rereads.createTable(sql) // an earlier version's `setup` has not made it
  yield* CapturedTables.make(source.stateSchema, source.slot).createTable(sql)
  for (const table of tables) yield* check(table, condition)
  const asked: Array<AskedReread> = []
  for (const table of tables) {
    const repair = yield* TableRepair.repair(table)
    // Whole, it is swept: a partition that was detached, dropped or truncated by itself took rows with it of which the stream says nothing.
    const wanted = condition === undefined ? { sweep: true } : { sweep: false, condition }
    const id = repair ?? (yield* rereads.request(sql, { table, reason: "asked", ...wanted }))
    asked.push({ id, table, hadGap: repair !== undefined })
  }
  return asked
})

export interface AskedReread {
  readonly id: bigint
  readonly table: TableName.TableName
  /** All of its rows are read, whatever the condition. */
  readonly hadGap: boolean
}

const capturedTable = Effect.fnUntraced(function*(text: string) {
  const { source } = yield* AppConfig
  const table = yield* Effect.try({
    try: () => TableName.parse(text),
    catch: (cause) => new ConfigurationError({ message: (cause as Error).message })
  })
  if (source.tables.some((captured) => TableName.format(captured) === TableName.format(table))) return table
  return yield* new ConfigurationError({
    message: `${TableName.format(table)} is not captured: only tables of source.tables can be read again. ` +
      "To capture it, add it there, run `cdc setup`, and restart capture."
  })
})

const check = Effect.fnUntraced(function*(table: TableName.TableName, condition: string | undefined) {
  const sql = yield* Postgres
  const name = TableName.format(table)
  const catalogue = Catalogue.make(sql)
  const announced = yield* catalogue.announce(table, false)
  if (announced === undefined) return yield* unsuitable(`Table ${name} is not in the database`)
  const { key, replicaIdentity, sendsOldKey } = yield* catalogue.resolve(announced.message)
  if (key.length === 0) {
    return yield* unsuitable(`Table ${name} has no key, so it can't be read in parts, and a row read again could not be told from another one: ${Remedy.withoutKey(table)}`)
  }
  if (!sendsOldKey && replicaIdentity !== "n") { // under NOTHING Postgres rejects what would need the old key
    return yield* unsuitable(`The REPLICA IDENTITY of table ${name} leaves its key out, so its next update or delete could not be published, either: ` +
      `ALTER TABLE ${name} REPLICA IDENTITY DEFAULT (or FULL) first`)
  }
  if (condition === undefined) return
  yield* ChunkReader.checkCondition(table, condition).pipe(
    Effect.catchIf((error) => error.reason === "refused", (error) => Effect.fail(new ConfigurationError({ message: `--where: ${error.message}` })))
  )
})

const unsuitable = (message: string) => Effect.fail(new CaptureError({ reason: "unsuitable", message: `${message}.` }))
