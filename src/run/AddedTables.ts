import { Effect } from "effect"
import * as CaptureState from "../capture/CaptureState.ts"
import * as CapturedTables from "../capture/CapturedTables.ts"
import * as Rereads from "../capture/Rereads.ts"
import * as SnapshotTables from "../capture/SnapshotTables.ts"
import { AppConfig } from "../Config.ts"
import { Postgres, type Sql } from "../connections/Postgres.ts"
import * as TableName from "../domain/TableName.ts"

/**
 * Asks for the rows of tables that came into the configuration when the first snapshot had begun: it is over for them. A capture that has
 * them in its configuration reads them; they are in the publication already, so that nothing is missed in between. Returns their names.
 */
export const requestAdded = Effect.gen(function*() {
  const { source } = yield* AppConfig
  const postgres = yield* Postgres
  const record = yield* CaptureState.make(source.stateSchema, source.slot).load(postgres)
  if (record === undefined || record.snapshot === "pending") return []
  const rereads = Rereads.make(source.stateSchema, source.slot)
  const known = yield* knownTables(postgres, source.stateSchema, source.slot)
  const added = source.tables.filter((table) => !known.has(TableName.format(table)))
  yield* postgres.transaction((sql) => Effect.forEach(added, (table) => rereads.request(sql, { table, sweep: false, reason: "added" }), { discard: true }))
  return added.map(TableName.format)
})

/** Read by the first snapshot, known to a running capture, or asked for. */
const knownTables = Effect.fnUntraced(function*(sql: Sql, stateSchema: string, slot: string) {
  yield* CapturedTables.make(stateSchema, slot).createTable(sql)
  const captured = yield* CapturedTables.make(stateSchema, slot).load(sql)
  const snapshot = yield* SnapshotTables.make(stateSchema, slot).list(sql)
  const asked = yield* Rereads.make(stateSchema, slot).list(sql)
  return new Set([
    ...captured.keys(),
    ...snapshot.map(({ table }) => table),
    ...asked.filter(({ state }) => state !== "failed").map(({ table }) => TableName.format(table))
  ])
})
