import { Effect } from "effect"
import type { PostgresError } from "../connections/PostgresError.ts"
import type { Sql } from "../connections/Postgres.ts"
import type { Relation } from "../domain/RowChange.ts"
import * as TableName from "../domain/TableName.ts"
import { CaptureError } from "./CaptureError.ts"
import type { Catalogue } from "./Catalogue.ts"
import type { StoredServer } from "./Identity.ts"

/** What would fail, or break the source's own writes, once captured: found before anything is made. Each says its remedy. */
const refuse = (message: string) => Effect.fail(new CaptureError({ reason: "unsuitable", message }))

/** Neon's pooler speaks no replication protocol, and its sessions are not ours alone. */
export const checkEndpoint = (host: string): Effect.Effect<void, CaptureError> =>
  /-pooler\./.test(host)
    ? refuse(`DATABASE_URL points to a pooled endpoint (${host}), which has no replication: use the direct one, without "-pooler" in its host.`)
    : Effect.void

export const checkServer = Effect.fnUntraced(function*(server: StoredServer, needsSlot: boolean): Effect.fn.Return<void, CaptureError> {
  if (server.version < 150_000) yield* refuse(`Postgres ${Math.floor(server.version / 10_000)} is too old: capture needs 15 or newer.`)
  if (server.wal_level !== "logical") {
    yield* refuse(
      `wal_level is ${server.wal_level}, capture needs logical: on Neon enable logical replication in the project's settings; ` +
        "elsewhere set wal_level = logical and restart Postgres."
    )
  }
  if (!server.may_replicate) {
    yield* refuse(
      `Role ${server.role} may not replicate: ALTER ROLE ${server.role} REPLICATION; on Neon use a role made by its console, CLI or API.`
    )
  }
  if (needsSlot && server.slots >= server.max_slots) {
    yield* refuse(
      `All ${server.max_slots} replication slots are taken: drop one that nobody reads (pg_replication_slots, active = false), or raise max_replication_slots.`
    )
  }
})

/** The relations of all tables that are to be captured, in their order. */
export const checkTables = Effect.fnUntraced(function*(
  sql: Sql,
  catalogue: Catalogue,
  names: ReadonlyArray<TableName.TableName>
): Effect.fn.Return<ReadonlyArray<Relation>, CaptureError | PostgresError> {
  const relations: Array<Relation> = []
  const missing: Array<string> = []
  for (const name of names) {
    const announced = yield* catalogue.announce(name, false)
    if (announced === undefined) {
      missing.push(TableName.format(name))
      continue
    }
    const relation = yield* catalogue.resolve(announced.message)
    const identity = announced.message.columns.filter((column) => column.partOfIdentity).map((column) => column.name)
    const problem = identityProblem(relation, identity)
    if (problem !== undefined) yield* refuse(problem)
    relations.push(relation)
  }
  if (missing.length > 0) {
    yield* refuse(
      `Not in the database, but to be captured (source.tables): ${missing.join(", ")}. Create them, or take them off the list (CDC_SOURCE_TABLES).`
    )
  }
  const unreadable = yield* sql.query<{ name: string }>("Checking the rights on the tables",
    "select name from unnest($1::text[], $2::text[]) as t (name, sql_name) where not has_table_privilege(sql_name, 'select')",
    [names.map(TableName.format), names.map(TableName.toSql)])
  if (unreadable.length > 0) {
    yield* refuse(`The role may not read ${unreadable.map((row) => row.name).join(", ")}: GRANT SELECT on them, the first snapshot reads them.`)
  }
  return relations
})

/** Postgres itself rejects UPDATE and DELETE on a published table without a replica identity; and a key outside of it is not sent. */
const identityProblem = (relation: Relation, identity: ReadonlyArray<string>): string | undefined => {
  const table = TableName.format(relation)
  if (identity.length === 0) {
    return `Table ${table} has no replica identity, so Postgres would reject the hub's UPDATEs and DELETEs once it is published: ` +
      `give it a primary key, or ALTER TABLE ${table} REPLICA IDENTITY FULL.`
  }
  const outside = relation.key.map((index) => relation.columns[index]!.name).filter((name) => !identity.includes(name))
  if (outside.length === 0) return undefined
  return `Table ${table} sends its replica identity without its key column ${outside.join(", ")}, so deletes would have no key: ` +
    `ALTER TABLE ${table} REPLICA IDENTITY DEFAULT (or FULL).`
}
