import { Effect } from "effect"
import type { PostgresError } from "../connections/PostgresError.ts"
import type { Sql } from "../connections/Postgres.ts"
import { CaptureError } from "./CaptureError.ts"
import * as Lsn from "../domain/Lsn.ts"
import type { Position } from "../domain/Position.ts"
import { startAnew } from "../domain/Remedy.ts"
import type { CaptureRecord, CaptureState } from "./CaptureState.ts"
import * as Publication from "./Publication.ts"
import * as Slot from "./Slot.ts"

/** What the server says of itself. */
export const readServer = Effect.fnUntraced(function*(sql: Sql) {
  const [row] = yield* sql.query<StoredServer>("Asking the server who it is", `
    select (select system_identifier::text from pg_control_system()) as system_identifier, current_database() as database,
      current_setting('server_version_num')::int as version, current_setting('wal_level') as wal_level,
      current_setting('max_replication_slots')::int as max_slots, (select count(*)::int from pg_replication_slots) as slots,
      (select rolreplication or rolsuper from pg_roles where rolname = current_user) as may_replicate, current_user as role`)
  return row!
})

export interface StoredServer {
  readonly system_identifier: string
  readonly database: string
  readonly version: number
  readonly wal_level: string
  readonly max_slots: number
  readonly slots: number
  readonly may_replicate: boolean
  readonly role: string
}

export interface VerifiedCapture {
  readonly record: CaptureRecord
  readonly generatedColumns: boolean
}

/**
 * Is everything still what `setup` made and capture remembers? A slot or publication that is gone, lost or another one, or
 * another database, means that changes may have been missed: that is never papered over by making it anew.
 */
export const verify = Effect.fnUntraced(function*(
  sql: Sql,
  state: CaptureState,
  names: { readonly slot: string; readonly publication: string }
): Effect.fn.Return<VerifiedCapture, CaptureError | PostgresError> {
  const record = yield* state.load(sql)
  if (record === undefined) {
    return yield* new CaptureError({
      reason: "notSetUp",
      message: `Replication slot ${names.slot} is not set up in this database: run \`cdc setup\` first.`
    })
  }
  const server = yield* readServer(sql)
  const slot = yield* Slot.read(sql, names.slot)
  const publication = yield* Publication.read(sql, names.publication)
  const found = gapOf(record, server, slot, publication, names)
  if (found !== undefined) {
    return yield* new CaptureError({ reason: "gap", message: `${found}: changes may have been missed; ${startAnew}.` })
  }
  return { record, generatedColumns: publication!.generatedColumns }
})

/**
 * A topic that ends beyond the database's WAL was written from another history: a restored branch, another server behind the same
 * address. All that we remember in Postgres went back with it, so Kafka alone can tell; new changes would pass for old ones.
 */
export const verifyHistory = Effect.fnUntraced(function*(
  sql: Sql,
  epoch: number,
  last: Position | undefined
): Effect.fn.Return<void, CaptureError | PostgresError> {
  if (last === undefined || last.epoch < epoch) return
  const [now] = yield* sql.query<{ lsn: string }>("Asking for the end of the WAL", "select pg_current_wal_insert_lsn()::text as lsn")
  if (last.epoch === epoch && last.commitLsn <= Lsn.parse(now!.lsn)) return
  yield* new CaptureError({
    reason: "gap",
    message: `The topics end at ${Lsn.format(last.commitLsn)} of epoch ${last.epoch}, beyond this database's WAL (${now!.lsn}, epoch ${epoch}): ` +
      `it was restored or replaced, or another database is published under the same kafka.topicPrefix. ${startAnew}.`
  })
})

/** What differs from what is remembered, in a person's words; undefined: nothing. */
const gapOf = (
  record: CaptureRecord,
  server: Pick<StoredServer, "system_identifier" | "database">,
  slot: Slot.Slot | undefined,
  publication: Publication.Publication | undefined,
  names: { readonly slot: string; readonly publication: string }
): string | undefined => {
  if (record.systemIdentifier !== server.system_identifier) {
    return `This is another server (system identifier ${server.system_identifier}) than the one captured so far (${record.systemIdentifier})`
  }
  if (record.database !== server.database) {
    return `This is database ${server.database}, but ${record.database} was captured so far`
  }
  if (slot === undefined) return `Replication slot ${names.slot} is gone`
  if (slot.database !== record.database) return `Replication slot ${names.slot} now belongs to database ${slot.database}`
  if (slot.plugin !== "pgoutput") return `Replication slot ${names.slot} now uses the plugin ${slot.plugin}`
  if (slot.isLost) return `Replication slot ${names.slot} is invalidated: the server has removed WAL that it needed`
  if (publication === undefined) return `Publication ${names.publication} is gone`
  if (publication.oid !== record.publicationOid) return `Publication ${names.publication} was dropped and made again`
  return undefined
}
