import { Effect } from "effect"
import { CaptureError } from "../capture/CaptureError.ts"
import * as CaptureState from "../capture/CaptureState.ts"
import * as Rereads from "../capture/Rereads.ts"
import { AppConfig } from "../Config.ts"
import { Postgres, type Sql } from "../connections/Postgres.ts"
import { quoteIdentifier } from "../domain/SqlIdentifier.ts"
import * as TableName from "../domain/TableName.ts"

/**
 * Asks for the rows of tables that came into the configuration, or came back, when the first snapshot had begun: it is over for them. A
 * capture that has them in its configuration reads them; they are in the publication already, so that nothing is missed in between.
 * What the topic of one that was captured before has, and the table has no more, is swept. Returns their names.
 */
export const requestAdded = Effect.gen(function*() {
  const { source } = yield* AppConfig
  const postgres = yield* Postgres
  const rereads = Rereads.make(source.stateSchema, source.slot)
  const added = yield* addedTables
  yield* postgres.transaction((sql) => Effect.forEach(added, (table) => rereads.request(sql, { table, sweep: true, reason: "added" }), { discard: true }))
  return added.map(TableName.format)
})

/** Fails if one of these tables, which have no key, came into the configuration too late for the first snapshot: nothing else can read its rows. */
export const refuseKeyless = Effect.fnUntraced(function*(keyless: ReadonlyArray<TableName.TableName>) {
  const late = new Set((yield* addedTables).map(TableName.format))
  const table = keyless.find((table) => late.has(TableName.format(table)))
  if (table === undefined) return
  return yield* new CaptureError({
    reason: "unsuitable",
    message: `Table ${TableName.format(table)} has no key, and only the first snapshot, which has begun, reads such a table: `
      + "take it out of source.tables, give it a primary key, or read every table again with `cdc setup --resnapshot`."
  })
})

/** Tables of the configuration whose rows nobody has read or asked for, though the first snapshot has begun. */
export const addedTables = Effect.gen(function*() {
  const { source } = yield* AppConfig
  const postgres = yield* Postgres
  const record = yield* CaptureState.make(source.stateSchema, source.slot).load(postgres)
  if (record === undefined || record.snapshot === "pending") return []
  const known = yield* knownTables(postgres, source.stateSchema, source.slot)
  return source.tables.filter((table) => !known.has(TableName.format(table)))
})

/**
 * What is remembered of tables that are not in the configuration any more: from now on their changes are not published, so that one
 * that comes back must be read again as a new one.
 */
export const forgetRemoved = Effect.gen(function*() {
  const { source } = yield* AppConfig
  const postgres = yield* Postgres
  yield* postgres.transaction((sql) =>
    Effect.forEach(["captured_tables", "snapshot_tables", "rereads"], (name) =>
      sql.query("Forgetting tables that are not captured any more",
        `delete from ${quoteIdentifier(source.stateSchema)}.${quoteIdentifier(name)} where slot = $1 and table_name <> all ($2)`,
        [source.slot, source.tables.map(TableName.format)]), { discard: true }))
})

/** Whose rows the first snapshot reads or has read, or a re-read of all of them that did not fail. */
const knownTables = Effect.fnUntraced(function*(sql: Sql, stateSchema: string, slot: string) {
  const schema = quoteIdentifier(stateSchema)
  const rows = yield* sql.query<{ table_name: string }>("Reading which tables are known", `
    select table_name from ${schema}.snapshot_tables where slot = $1
    union select table_name from ${schema}.rereads where slot = $1 and state <> 'failed' and condition is null`, [slot])
  return new Set(rows.map((row) => row.table_name))
})
