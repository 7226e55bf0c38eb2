import { Effect, Redacted } from "effect"
import { CaptureError } from "../capture/CaptureError.ts"
import * as CaptureState from "../capture/CaptureState.ts"
import * as Catalogue from "../capture/Catalogue.ts"
import * as Identity from "../capture/Identity.ts"
import * as Preflight from "../capture/Preflight.ts"
import * as Publication from "../capture/Publication.ts"
import * as Slot from "../capture/Slot.ts"
import { AppConfig } from "../Config.ts"
import { Postgres, type Sql } from "../connections/Postgres.ts"
import * as Lsn from "../domain/Lsn.ts"
import * as TableName from "../domain/TableName.ts"
import * as TopicName from "../domain/TopicName.ts"
import { createSharedTables } from "../materialize/Registration.ts"
import * as Tails from "../publish/Tails.ts"
import * as Topics from "../publish/Topics.ts"
import { startAnew } from "../domain/Remedy.ts"

/**
 * Makes what capture needs: state schema, topics, publication, slot. May be run again at any time: what is there stays, missing
 * tables of the configuration are added. It reads no rows. What capture remembers and what is gone now is never made anew,
 * because that would hide a gap. Returns what it did, a line each, for a person.
 */
export const setup = Effect.gen(function*() {
  const { kafka, source } = yield* AppConfig
  const sql = yield* Postgres
  const state = CaptureState.make(source.stateSchema, source.slot)
  yield* Preflight.checkEndpoint(new URL(Redacted.value(source.databaseUrl)).hostname)
  const server = yield* Identity.readServer(sql)
  const slot = yield* Slot.read(sql, source.slot)
  yield* Preflight.checkServer(server, slot === undefined)
  const remembered = yield* state.load(sql)
  if (remembered !== undefined) yield* Identity.verify(sql, state, source)
  else if (slot !== undefined) yield* refuseForeignSlot(source.slot)

  const catalogue = Catalogue.make(sql)
  const relations = yield* Preflight.checkTables(sql, catalogue, source.tables)
  const lines: Array<string> = []

  const wanted = relations.map((relation) => ({ topic: TopicName.ofTable(kafka.topicPrefix, relation), hasKey: relation.key.length > 0 }))
  const created = yield* Topics.ensure(wanted, kafka)
  lines.push(report("topics", created, wanted.length - created.length, `${kafka.partitions} partitions each`))

  yield* state.createTables(sql)
  yield* createSharedTables(sql, source.stateSchema)
  lines.push(`state schema ${source.stateSchema}: ready`)
  lines.push(yield* ensurePublication(sql, source.publication, source.tables, server.version))
  if (remembered !== undefined) {
    lines.push(`replication slot ${source.slot}: there, confirmed to ${Lsn.format(slot!.confirmedFlush)}`)
    return lines
  }
  // Topics may hold an earlier capture's records (torn down, another server): a later epoch is after all of them, whatever the LSNs.
  const { last } = yield* Tails.read(wanted.map(({ topic }) => topic))
  const epoch = (last?.epoch ?? 0) + 1
  // The publication comes first: what commits while there is none is never decoded.
  const start = yield* Slot.create(sql, source.slot)
  const publication = yield* Publication.read(sql, source.publication)
  yield* state.remember(sql, {
    systemIdentifier: server.system_identifier,
    database: server.database,
    publicationOid: publication!.oid
  }, epoch).pipe(Effect.tapError(() => Effect.ignore(Slot.drop(sql, source.slot)))) // a slot that nobody remembers would keep WAL for ever
  lines.push(`replication slot ${source.slot}: created at ${Lsn.format(start)}; \`cdc run\` reads the tables first, then follows it`)
  return lines
})

const ensurePublication = Effect.fnUntraced(function*(
  sql: Sql,
  name: string,
  tables: ReadonlyArray<TableName.TableName>,
  serverVersion: number
) {
  const publication = yield* Publication.read(sql, name)
  if (publication === undefined) {
    yield* Publication.create(sql, name, tables, serverVersion)
    return `publication ${name}: created for ${tables.length} tables`
  }
  const missing = publication.allTables ? [] : tables.filter((table) => !publication.tables.has(TableName.format(table)))
  if (missing.length === 0) return `publication ${name}: there, with all ${tables.length} tables`
  yield* Publication.addTables(sql, name, missing)
  return `publication ${name}: added ${missing.map(TableName.format).join(", ")}; once the first snapshot is done, their rows of before are not read by themselves`
})

const refuseForeignSlot = (slot: string) =>
  Effect.fail(new CaptureError({
    reason: "gap",
    message: `Replication slot ${slot} exists, but nothing here remembers what was published from it: if it is somebody else's, set ` +
      `CDC_SOURCE_SLOT to another name; if it is a leftover of ours, ${startAnew}, or drop it with pg_drop_replication_slot('${slot}').`
  }))

const report = (what: string, created: ReadonlyArray<string>, there: number, detail: string): string =>
  created.length === 0 ? `${what}: all ${there} there` : `${what}: created ${created.length} (${detail}), ${there} were there`
