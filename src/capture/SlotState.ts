import * as Lsn from "../domain/Lsn.ts"
import type { Position } from "../domain/Position.ts"
import { resnapshot } from "../domain/Remedy.ts"
import type { CaptureRecord, Identity } from "./CaptureState.ts"
import type { Publication } from "./Publication.ts"
import type { Slot } from "./Slot.ts"

/**
 * What Kafka remembers of a slot. The database's own memory goes back with it when it is restored; this does not.
 * The slot is never confirmed beyond `confirmed`.
 */
export interface JournalEntry extends Identity {
  readonly epoch: number
  readonly timeline: number
  readonly confirmed: Lsn.Lsn
}

/** What the server says of itself, now. */
export interface ServerFacts {
  readonly systemIdentifier: string
  readonly database: string
  readonly timeline: number
  /** The timelines before this one, each with the position at which it was left. */
  readonly history: ReadonlyArray<{ readonly timeline: number; readonly end: Lsn.Lsn }>
  readonly walEnd: Lsn.Lsn
}

/** All that is known of a slot at about one instant, from both sides. */
export interface SlotFacts {
  /** Remembered in the database; undefined: `setup` was not run there. */
  readonly record: CaptureRecord | undefined
  /** Remembered in Kafka; undefined: it was set up before there was a journal, or never. */
  readonly journal: JournalEntry | undefined
  readonly server: ServerFacts
  readonly slot: Slot | undefined
  readonly publication: Publication | undefined
  /** The furthest position in the topics; undefined: nothing is there, or nobody has looked yet. */
  readonly tail: Position | undefined
  /** It is this process that reads the slot. */
  readonly isReader: boolean
}

/** Where a slot and what belongs to it can stand. What each leads to is in {@link outcomes}. */
export type SlotState =
  | { readonly _tag: "ready" }
  | { readonly _tag: "standby" }
  | { readonly _tag: "notSetUp" }
  | { readonly _tag: "slotForeign" }
  | { readonly _tag: "forgotten"; readonly epoch: number }
  | { readonly _tag: "otherServer"; readonly found: string; readonly remembered: string }
  | { readonly _tag: "otherDatabase"; readonly found: string; readonly remembered: string }
  | { readonly _tag: "otherHistory"; readonly evidence: string }
  | { readonly _tag: "slotMissing" }
  | { readonly _tag: "slotElsewhere"; readonly database: string; readonly plugin: string }
  | { readonly _tag: "slotLost"; readonly reason: string }
  | { readonly _tag: "slotMoved"; readonly found: Lsn.Lsn; readonly journalled: Lsn.Lsn }
  | { readonly _tag: "publicationMissing" }
  | { readonly _tag: "publicationReplaced" }
  | { readonly _tag: "publicationAltered"; readonly missing: ReadonlyArray<string> }

/** The outermost first: what is said of a slot on another server is of no use. */
export const judge = (facts: SlotFacts): SlotState => {
  const { journal, publication, record, server, slot } = facts
  if (record === undefined) {
    if (journal !== undefined) return { _tag: "forgotten", epoch: journal.epoch }
    return slot === undefined ? { _tag: "notSetUp" } : { _tag: "slotForeign" }
  }
  const memories: ReadonlyArray<Identity> = journal === undefined ? [record] : [record, journal]
  for (const { database, systemIdentifier } of memories) {
    if (systemIdentifier !== server.systemIdentifier) return { _tag: "otherServer", found: server.systemIdentifier, remembered: systemIdentifier }
    if (database !== server.database) return { _tag: "otherDatabase", found: server.database, remembered: database }
  }
  const evidence = otherHistory(record, facts)
  if (evidence !== undefined) return { _tag: "otherHistory", evidence }
  if (slot === undefined) return { _tag: "slotMissing" }
  if (slot.database !== record.database || slot.plugin !== "pgoutput") return { _tag: "slotElsewhere", database: slot.database, plugin: slot.plugin }
  if (slot.invalidated !== undefined) return { _tag: "slotLost", reason: slot.invalidated }
  if (journal !== undefined && slot.confirmedFlush > journal.confirmed) {
    return { _tag: "slotMoved", found: slot.confirmedFlush, journalled: journal.confirmed }
  }
  if (publication === undefined) return { _tag: "publicationMissing" }
  if (memories.some(({ publicationOid }) => publicationOid !== publication.oid)) return { _tag: "publicationReplaced" }
  const { missingOperations: missing } = publication
  if (missing.length > 0 || memories.some((memory) => isAltered(memory, publication))) return { _tag: "publicationAltered", missing }
  return slot.active && !facts.isReader ? { _tag: "standby" } : { _tag: "ready" }
}

/**
 * Its row was written since, and not to give it another owner. What else was done to it besides can't be told from that, so at least it has to
 * publish partitions by their root now. A capture that was set up by an earlier version does not remember the row's xmin, or the owner.
 */
const isAltered = ({ publicationOwner, publicationXmin }: Identity, { owner, viaRoot, xmin }: Publication): boolean =>
  publicationXmin !== undefined && publicationXmin !== xmin && !(publicationOwner !== undefined && publicationOwner !== owner && viaRoot)

/**
 * What shows that this database does not continue the one that was published; undefined: nothing does. What is remembered in
 * Postgres is restored with it, so only Kafka can tell.
 */
const otherHistory = (record: CaptureRecord, { journal, server, tail }: SlotFacts): string | undefined => {
  const { walEnd } = server
  if (journal !== undefined && journal.epoch > record.epoch) return `the journal is at epoch ${journal.epoch}, this database at ${record.epoch}`
  if (tail !== undefined && tail.epoch > record.epoch) return `the topics are at epoch ${tail.epoch}, this database at ${record.epoch}`
  const published = tail?.epoch === record.epoch ? tail.commitLsn : Lsn.zero
  if (published > walEnd) return `the topics end at ${Lsn.format(published)}, this database's WAL at ${Lsn.format(walEnd)}`
  if (journal === undefined || journal.epoch < record.epoch) return undefined
  const left = leftAt(journal.timeline, server)
  if (left === undefined) {
    return journal.confirmed > walEnd ? `the journal is at ${Lsn.format(journal.confirmed)}, this database's WAL ends at ${Lsn.format(walEnd)}` : undefined
  }
  // A standby that was promoted may lack the end of the old WAL; that matters only if some of it was published.
  if (published < left) return undefined
  return left === Lsn.zero
    ? `timeline ${server.timeline} does not descend from timeline ${journal.timeline}, which was captured`
    : `timeline ${server.timeline} left timeline ${journal.timeline} at ${Lsn.format(left)}, but the topics end at ${Lsn.format(published)}`
}

/** Where this server's history left a timeline: undefined: it is still on it; zero: it never was. */
const leftAt = (timeline: number, server: ServerFacts): Lsn.Lsn | undefined =>
  timeline === server.timeline ? undefined : server.history.find((former) => former.timeline === timeline)?.end ?? Lsn.zero

/** What a state leads to. */
export interface Outcome<State> {
  /** For the documentation: what it means. */
  readonly meaning: string
  /** `goes on`, `waits` until the slot is free, or `stops`, with the exit code beside it. */
  readonly leadsTo: "goes on" | "waits" | "stops"
  readonly exitCode: 3 | 4 | undefined
  /** What a person does; it ends the message. */
  readonly remedy: string | undefined
  /** What happened, to which thing, as the message begins. */
  readonly says: (state: State, names: Names) => string
}

export interface Names {
  readonly slot: string
  readonly publication: string
}

/** The one table of what every state leads to; the compiler sees that none is missing. `docs/slot-states.md` is printed from it. */
export const outcomes: { readonly [Tag in SlotState["_tag"]]: Outcome<Extract<SlotState, { readonly _tag: Tag }>> } = {
  ready: {
    meaning: "everything is as remembered",
    leadsTo: "goes on", exitCode: undefined, remedy: undefined,
    says: (_, { slot }) => `Replication slot ${slot} is as remembered`
  },
  standby: {
    meaning: "another process reads the slot; this one takes over when it is free",
    leadsTo: "waits", exitCode: undefined, remedy: undefined,
    says: (_, { slot }) => `Replication slot ${slot} is read by another process`
  },
  notSetUp: {
    meaning: "`cdc setup` was never run here",
    leadsTo: "stops", exitCode: 3, remedy: "run `cdc setup` first",
    says: (_, { slot }) => `Replication slot ${slot} is not set up in this database`
  },
  slotForeign: {
    meaning: "the slot is there, but neither this database nor Kafka remembers it",
    leadsTo: "stops", exitCode: 4, remedy: `if it is somebody else's, set CDC_SOURCE_SLOT to another name; if it is a leftover of ours, ${resnapshot}`,
    says: (_, { slot }) => `Replication slot ${slot} exists, but nothing here remembers what was published from it`
  },
  forgotten: {
    meaning: "Kafka remembers the slot, this database does not: it was restored to before `setup`, made anew, or lost its state schema",
    leadsTo: "stops", exitCode: 4, remedy: resnapshot,
    says: ({ epoch }, { slot }) => `Kafka remembers replication slot ${slot} (epoch ${epoch}), but this database does not: it was restored or made anew, or its state schema is gone`
  },
  otherServer: {
    meaning: "another server (system identifier) answers than the one captured so far",
    leadsTo: "stops", exitCode: 4, remedy: resnapshot,
    says: ({ found, remembered }) => `This is another server (system identifier ${found}) than the one captured so far (${remembered})`
  },
  otherDatabase: {
    meaning: "another database of the same server",
    leadsTo: "stops", exitCode: 4, remedy: resnapshot,
    says: ({ found, remembered }) => `This is database ${found}, but ${remembered} was captured so far`
  },
  otherHistory: {
    meaning: "the topics or the journal are beyond this database's WAL, or on a timeline or epoch that it does not continue: it was restored to an earlier state, "
      + "a standby was promoted that lacks what was published, or another database is published under the same topic prefix",
    leadsTo: "stops", exitCode: 4, remedy: resnapshot,
    says: ({ evidence }) => `This database does not continue what was published (${evidence}): it was restored or replaced, or another one is published under the same kafka.topicPrefix`
  },
  slotMissing: {
    meaning: "the slot is gone",
    leadsTo: "stops", exitCode: 4, remedy: resnapshot,
    says: (_, { slot }) => `Replication slot ${slot} is gone`
  },
  slotElsewhere: {
    meaning: "a slot of this name belongs to another database or uses another plugin",
    leadsTo: "stops", exitCode: 4, remedy: `if it is somebody else's, set CDC_SOURCE_SLOT to another name, otherwise drop it there; then ${resnapshot}`,
    says: ({ database, plugin }, { slot }) => `Replication slot ${slot} now belongs to database ${database}, with the plugin ${plugin}`
  },
  slotLost: {
    meaning: "the server has invalidated the slot; its own reason is named",
    leadsTo: "stops", exitCode: 4, remedy: resnapshot,
    says: ({ reason }, { slot }) => `Replication slot ${slot} is invalidated (${reason}): ${invalidations[reason] ?? "Postgres' manual says what that means"}`
  },
  slotMoved: {
    meaning: "the slot stands beyond what we ever confirmed: somebody advanced it, read from it, or made it again",
    leadsTo: "stops", exitCode: 4, remedy: resnapshot,
    says: ({ found, journalled }, { slot }) =>
      `Replication slot ${slot} stands at ${Lsn.format(found)}, beyond all that was confirmed (${Lsn.format(journalled)}): somebody moved it or made it again`
  },
  publicationMissing: {
    meaning: "the publication is gone; what commits meanwhile is never decoded, even after it is back",
    leadsTo: "stops", exitCode: 4, remedy: resnapshot,
    says: (_, { publication }) => `Publication ${publication} is gone`
  },
  publicationReplaced: {
    meaning: "the publication was dropped and made again; what committed meanwhile was never decoded",
    leadsTo: "stops", exitCode: 4, remedy: resnapshot,
    says: (_, { publication }) => `Publication ${publication} was dropped and made again`
  },
  publicationAltered: {
    meaning: "the publication was renamed or altered, so that it may have published less meanwhile, or publishes less now",
    leadsTo: "stops", exitCode: 4, remedy: resnapshot,
    says: ({ missing }, { publication }) =>
      `Publication ${publication} was altered${missing.length === 0 ? "" : ` and publishes no ${missing.join(", ")} now`}`
  }
}

/** Of `pg_replication_slots.invalidation_reason`. Source: Postgres manual, 53.20. */
const invalidations: Readonly<Record<string, string>> = {
  wal_removed: "the server has removed WAL that it needed (max_slot_wal_keep_size)",
  rows_removed: "the server has removed rows of its catalogs that it needed",
  wal_level_insufficient: "the server ran with a wal_level below logical",
  idle_timeout: "nobody read it for longer than idle_replication_slot_timeout"
}

/** A state in a person's words: what happened, to which thing, and the remedy. */
export const describe = (state: SlotState, names: Names): string => {
  const { exitCode, remedy, says } = outcomes[state._tag] as Outcome<SlotState>
  const doubt = exitCode === 4 ? ". Changes may have been missed" : ""
  return `${says(state, names)}${doubt}${remedy === undefined ? "" : `: ${remedy}`}.`
}
