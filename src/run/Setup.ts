import { Effect, Redacted } from "effect"
import * as CapturedTables from "../capture/CapturedTables.ts"
import * as CaptureState from "../capture/CaptureState.ts"
import * as EventTopics from "../capture/EventTopics.ts"
import * as Identity from "../capture/Identity.ts"
import * as Preflight from "../capture/Preflight.ts"
import * as Publication from "../capture/Publication.ts"
import * as Rereads from "../capture/Rereads.ts"
import * as Slot from "../capture/Slot.ts"
import { AppConfig } from "../Config.ts"
import { Kafka } from "../connections/Kafka.ts"
import { Postgres, type Sql } from "../connections/Postgres.ts"
import * as Lsn from "../domain/Lsn.ts"
import * as TableName from "../domain/TableName.ts"
import * as TopicName from "../domain/TopicName.ts"
import { isOurs, makeOwnTables } from "../materialize/OwnTables.ts"
import { makePendingKeys } from "../materialize/PendingKeys.ts"
import type { Pipeline } from "../materialize/Pipeline.ts"
import { createSharedTables, latestGeneration } from "../materialize/Registration.ts"
import { stateTables } from "../materialize/StateTables.ts"
import { readWrittenTables } from "../materialize/WrittenTables.ts"
import * as Fence from "../publish/Fence.ts"
import * as Tails from "../publish/Tails.ts"
import * as Topics from "../publish/Topics.ts"
import { refuseKeyless, requestAdded } from "./AddedTables.ts"
import * as Journal from "./Journal.ts"
import * as SlotCheck from "./SlotCheck.ts"

/**
 * Makes what capture needs: state schema, topics, publication, slot. May be run again at any time: what is there stays, missing
 * tables of the configuration are added. It reads no rows. What capture remembers and what is gone now is never made anew,
 * because that would hide a gap. Returns what it did, a line each, for a person.
 */
export const setup = Effect.scoped(Effect.gen(function*() {
  const { source } = yield* AppConfig
  const postgres = yield* Postgres
  const { journal, lines, look, server, wanted } = yield* prepare
  const { facts, state: found } = yield* look
  const refusal = found._tag === "notSetUp" ? undefined : SlotCheck.refusalOf(found, source)
  if (refusal !== undefined) return yield* refusal
  if (facts.slot !== undefined) yield* refuseKeyless(wanted.filter(({ hasKey }) => !hasKey).map(({ table }) => table))

  lines.push(...(yield* makeTopics(wanted)))
  const publish = facts.slot === undefined ? restorePublication : ensurePublication // nothing is published by it yet
  lines.push(yield* publish(postgres, source.publication, source.tables, server.version))
  if (facts.slot !== undefined) {
    lines.push(`replication slot ${source.slot}: there, confirmed to ${Lsn.format(facts.slot.confirmedFlush)}`)
    const added = yield* requestAdded
    if (added.length > 0) lines.push(`re-reads: asked for ${added.join(", ")}; restart capture, so that it has them in its configuration`)
    return lines
  }
  lines.push(...(yield* begin(journal, wanted, 0)))
  return lines
}))

/**
 * Begins anew after a gap, whatever it was: the slot is made again, the publication made complete, a later epoch begins, the tables are to be
 * read again, and what was deleted in the gap is to be deleted in the topics. A process that reads the old slot is hung up on.
 *
 * May be killed at any instant and run again: until the last step what is remembered and what is there differ, so that nothing
 * goes on; each step can be done twice. Returns what it did, a line each.
 */
export const resnapshot = Effect.scoped(Effect.gen(function*() {
  const { source } = yield* AppConfig
  const postgres = yield* Postgres
  const { journal, lines, look, server, wanted } = yield* prepare
  const { facts, state: found } = yield* look
  if (found._tag === "slotElsewhere") return yield* SlotCheck.refusalOf(found, source)! // it is not ours to drop
  lines.push(...(yield* makeTopics(wanted)))

  yield* Slot.drop(postgres, source.slot)
  lines.push(`replication slot ${source.slot}: ${facts.slot === undefined ? "was not there" : "dropped"}`)
  lines.push(yield* restorePublication(postgres, source.publication, source.tables, server.version))

  lines.push(...(yield* begin(journal, wanted, Math.max(facts.record?.epoch ?? 0, facts.journal?.epoch ?? 0))))
  return lines
}))

/**
 * Makes the tables that are the pipelines' own; one whose pipeline has a state already is filled from it, as it runs. May be run again at
 * any time. Returns what it did, a line each.
 */
export const makeTargets = Effect.fnUntraced(function*(pipelines: ReadonlyArray<Pipeline>) {
  const { source: { stateSchema } } = yield* AppConfig
  return yield* (yield* Postgres).transaction(Effect.fnUntraced(function*(sql) {
    const incomplete = (yield* readWrittenTables(sql, pipelines)).filter((table) => isOurs(table) && table.missingColumns.length > 0)
    const lines = yield* makeOwnTables(sql, pipelines)
    for (const name of new Set(incomplete.map(({ pipeline }) => pipeline))) {
      if ((yield* latestGeneration(sql, stateSchema, name, "live")) === undefined) continue
      const pending = makePendingKeys(stateTables(stateSchema, name, 1), name)
      yield* pending.settleEverything(sql, undefined)
      yield* pending.addEverything(sql)
      lines.push(`pipeline ${name}: writes what it lacks from its state, as it runs`)
    }
    return lines
  }))
})

interface WantedTable extends Topics.WantedTopic {
  readonly table: TableName.TableName
}

/** What both need: the checks that come before anything is made, the state schema and the journal's topic. */
const prepare = Effect.gen(function*() {
  const { kafka, source } = yield* AppConfig
  const postgres = yield* Postgres
  const state = CaptureState.make(source.stateSchema, source.slot)
  const { relations, server } = yield* Preflight.requireSuitable(postgres, new URL(Redacted.value(source.databaseUrl)).hostname, source)
  const wanted = relations.map((relation): WantedTable => ({
    topic: TopicName.ofTable(kafka.topicPrefix, relation), hasKey: relation.key.length > 0, table: relation
  }))
  const journal = yield* Journal.open(source.slot)
  const look = SlotCheck.look(state, source, { journal: journal.read, tail: undefined, isReader: false })
  const lines: Array<string> = []
  return { journal, lines, look, server, wanted }
})

const makeTopics = Effect.fnUntraced(function*(wanted: ReadonlyArray<WantedTable>) {
  const { kafka, source } = yield* AppConfig
  const postgres = yield* Postgres
  const created = yield* Topics.ensure(wanted, kafka)
  const events = Topics.ofEvents(kafka)
  const createdEvents = yield* Topics.ensure(events, kafka)
  yield* Journal.ensureTopic
  yield* CaptureState.make(source.stateSchema, source.slot).createTables(postgres)
  yield* Rereads.make(source.stateSchema, source.slot).createTable(postgres)
  yield* CapturedTables.make(source.stateSchema, source.slot).createTable(postgres)
  yield* EventTopics.make(source.stateSchema, source.slot).createTable(postgres)
  yield* createSharedTables(postgres, source.stateSchema)
  return [
    report("topics", created, wanted.length - created.length, `${kafka.partitions} partitions each`),
    ...events.length === 0 ? [] : [report("event topics", createdEvents, events.length - createdEvents.length, `kept ${kafka.eventRetentionHours} h`)],
    `state schema ${source.stateSchema}: ready`
  ]
})

/** Longer than a hub's transactions take; a person waits. */
const writersWaitMillis = 20_000

/**
 * Creates the slot and remembers it; the publication is there, because what commits while there is none is never decoded. Kafka
 * remembers first: a database that knows of an epoch alone would be one whose journal is lost. Topics may hold an earlier capture's
 * records (a gap, torn down, another server): the new epoch is after all of them, whatever the LSNs.
 */
const begin = Effect.fnUntraced(function*(journal: Journal.Journal, wanted: ReadonlyArray<WantedTable>, epochBefore: number) {
  const { kafka, source } = yield* AppConfig
  const postgres = yield* Postgres
  const state = CaptureState.make(source.stateSchema, source.slot)
  const captured = CapturedTables.make(source.stateSchema, source.slot)
  const rereads = Rereads.make(source.stateSchema, source.slot)
  const topics = [...wanted, ...Topics.ofEvents(kafka)].map(({ topic }) => topic)
  yield* shutOut(topics)
  const tails = yield* Tails.read(topics)
  const epoch = 1 + Math.max(epochBefore, tails.last?.epoch ?? 0)
  const sweeps = yield* sweepsOf(wanted.filter(({ hasKey, topic }) => hasKey && tails.has(topic)))
  const remember = Effect.fnUntraced(function*(start: Lsn.Lsn) {
    const server = yield* Identity.readServer(postgres)
    const publication = yield* Publication.read(postgres, source.publication)
    const identity: CaptureState.Identity = {
      systemIdentifier: server.system_identifier,
      database: server.database,
      publicationOid: publication!.oid,
      publicationXmin: publication!.xmin,
      publicationOwner: publication!.owner
    }
    yield* journal.write({ ...identity, epoch, timeline: server.timeline, confirmed: start })
    yield* postgres.transaction((sql) =>
      Effect.gen(function*() {
        yield* state.remember(sql, identity, epoch)
        yield* captured.forget(sql)
        for (const sweep of sweeps) yield* rereads.request(sql, sweep)
      }))
  })
  // A slot that nobody remembers would keep WAL for ever, and stop the next setup: so it is remembered even if we are asked to stop.
  const start = yield* Effect.uninterruptibleMask((restore) =>
    restore(Slot.create(postgres, source.slot, writersWaitMillis)).pipe(
      Effect.tap((start) => Effect.tapError(remember(start), () => Effect.ignore(Slot.drop(postgres, source.slot))))
    ))
  const swept = sweeps.length === 0 ? "" : `; then ${sweeps.length} topics that have records are rid of rows that are gone`
  return [`replication slot ${source.slot}: created at ${Lsn.format(start)}, epoch ${epoch}; \`cdc run\` reads the tables first, then follows it${swept}`]
})

/** A process that read the slot before, and may still be about to write, is refused from here on: then the topics' ends stay. */
const shutOut = Effect.fnUntraced(function*(topics: ReadonlyArray<string>) {
  const { kafka: { topicPrefix }, source } = yield* AppConfig
  const client = yield* (yield* Kafka).requests(`cdc-setup-${source.slot}`)
  yield* Fence.make(TopicName.fenceOfSlot(topicPrefix, source.slot), topics).raise(client)
}, Effect.scoped)

/** A key whose last record is one that is there now, once the tables are read, is none of its table's any more. */
const sweepsOf = Effect.fnUntraced(function*(published: ReadonlyArray<WantedTable>) {
  const kafka = yield* Kafka
  const sweeps: Array<Rereads.Request> = []
  for (const { table, topic } of published) {
    const partitions = yield* kafka.admin(`Reading the end of ${topic}`, (admin) => admin.fetchTopicOffsets(topic))
    const bounds = new Map(partitions.map(({ high, partition }) => [partition, BigInt(high)]))
    sweeps.push({ table, sweep: true, reason: "resnapshot", state: "sweeping", bounds })
  }
  return sweeps
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
  return `publication ${name}: added ${missing.map(TableName.format).join(", ")}`
})

/** Never dropped: somebody else may use it, too. */
const restorePublication = Effect.fnUntraced(function*(
  postgres: Postgres["Service"],
  name: string,
  tables: ReadonlyArray<TableName.TableName>,
  serverVersion: number
) {
  const publication = yield* Publication.read(postgres, name)
  if (publication === undefined) return yield* ensurePublication(postgres, name, tables, serverVersion)
  const altered = yield* postgres.transaction((sql) => Publication.complete(sql, name, publication, tables, serverVersion))
  return `publication ${name}: kept, since others may read by it${altered.length === 0 ? "; it publishes all that it should" : `; altered: ${altered.join("; ")}`}`
})

const report = (what: string, created: ReadonlyArray<string>, there: number, detail: string): string =>
  created.length === 0 ? `${what}: all ${there} there` : `${what}: created ${created.length} (${detail}), ${there} were there`
