import { Effect, Scope } from "effect"
import type { JournalEntry } from "../capture/SlotState.ts"
import { AppConfig } from "../Config.ts"
import { Kafka } from "../connections/Kafka.ts"
import type { KafkaError } from "../connections/KafkaError.ts"
import { createTopics } from "../connections/NewTopics.ts"
import * as TopicLog from "../connections/TopicLog.ts"
import * as Lsn from "../domain/Lsn.ts"
import type { Position } from "../domain/Position.ts"
import * as TopicName from "../domain/TopicName.ts"
import { PublishError } from "../publish/PublishError.ts"
import * as TopicWriter from "../publish/TopicWriter.ts"

/**
 * What Kafka remembers of a slot, in a compacted topic: whose it is, and how far it was confirmed. A position is journalled
 * before the server is told, so a slot that stands further was moved or made again by somebody else; and since a database's own
 * memory is restored with it, this is the memory that is not. See `docs/decisions/0008-journal.md`.
 */
export interface Journal {
  /** The furthest entry; undefined: there is none. */
  readonly read: Effect.Effect<JournalEntry | undefined, KafkaError>
  /** Fails where `setup` has not made the topic. */
  readonly verifyTopic: Effect.Effect<void, KafkaError | PublishError>
  /** Succeeds when every replica in sync has it. One at a time, to its end. */
  readonly write: (entry: JournalEntry) => Effect.Effect<void, KafkaError>
  /** The slot is torn down on purpose. Tells whether another slot has an entry. */
  readonly forget: Effect.Effect<boolean, KafkaError>
}

/** For one slot. Who writes first shuts out whoever has written before, so write only while the slot is held, or being made. */
export const open = Effect.fnUntraced(function*(slot: string): Effect.fn.Return<Journal, never, AppConfig | Kafka | Scope.Scope> {
  const { topicPrefix } = (yield* AppConfig).kafka
  const kafka = yield* Kafka
  const scope = yield* Effect.scope
  const topic = TopicName.ofJournal(topicPrefix)
  const key = Buffer.from(JSON.stringify({ slot }))

  let writer: TopicWriter.TopicWriter | undefined
  const openWriter = TopicWriter.make({
    clientId: `cdc-journal-${slot}`, fence: `${TopicName.fenceOfSlot(topicPrefix, slot)}.journal`, topics: [topic], batchBytes: 65_536, compression: "none"
  }).pipe(Effect.provideService(Kafka, kafka), Scope.provide(scope))
  const send = Effect.fnUntraced(function*(value: Buffer | null, position: Position) {
    writer ??= yield* openWriter
    yield* writer.write([{ topic, partition: 0, key, value, headers: undefined, position }])
  })

  const isThere = kafka.admin("Looking for the journal", async (admin) => (await admin.listTopics()).includes(topic))
  const readAll = Effect.scoped(Effect.gen(function*() {
    const entries = new Map<string, JournalEntry>()
    if (!(yield* isThere)) return entries
    const log = yield* TopicLog.open(topic, "cdc-journal") // from the beginning, which compaction keeps near
    yield* log.toEnd((records) => Effect.sync(() => records.forEach(({ key, value }) => apply(entries, key, value))))
    return entries
  })).pipe(Effect.provideService(Kafka, kafka))
  return {
    read: Effect.map(readAll, (entries) => entries.get(slot)),
    verifyTopic: Effect.filterOrFail(isThere, (there) => there, () =>
      new PublishError({ reason: "topicMissing", message: `Kafka has no topic ${topic}: run \`cdc setup\`, which creates it.` })),
    write: (entry) =>
      send(Buffer.from(JSON.stringify(toStored(slot, entry))), { epoch: entry.epoch, commitLsn: entry.confirmed, order: 0 }),
    forget: Effect.gen(function*() {
      const entries = yield* readAll
      if (entries.delete(slot)) yield* send(null, { epoch: 0, commitLsn: Lsn.zero, order: 0 })
      return entries.size > 0
    })
  }
})

/** The positions of one session of capture: each is journalled before the server may hear of it. */
export interface Positions {
  readonly note: (confirmed: Lsn.Lsn) => Effect.Effect<void, KafkaError>
  /** As it is journalled. */
  readonly last: () => JournalEntry
}

/** From what is journalled already. */
export const keep = (journal: Journal, from: JournalEntry): Positions => {
  let last = from
  return {
    last: () => last,
    note: (confirmed) =>
      Effect.suspend(() => {
        if (confirmed <= last.confirmed) return Effect.void
        const next = { ...last, confirmed }
        return Effect.tap(journal.write(next), () => Effect.sync(() => void (last = next)))
      })
  }
}

/** Makes the topic if it is missing; tells whether it was. */
export const ensureTopic = Effect.gen(function*() {
  const settings = (yield* AppConfig).kafka
  const topic = TopicName.ofJournal(settings.topicPrefix)
  return yield* createTopics(`Creating topic ${topic}`, [
    { topic, numPartitions: 1, replicationFactor: settings.replicationFactor, configEntries: topicConfig }
  ])
})

/** Small segments, soon compacted: some ten entries a second at the most, of which the last counts. */
const topicConfig = [
  { name: "cleanup.policy", value: "compact" },
  { name: "segment.bytes", value: String(1_048_576) },
  { name: "min.cleanable.dirty.ratio", value: "0.1" }
]

/** Of a slot's entries the furthest counts, since a slot never goes back. */
const apply = (entries: Map<string, JournalEntry>, key: Buffer | null, value: Buffer | null): void => {
  const { slot } = JSON.parse(String(key)) as { readonly slot: string }
  if (value === null) return void entries.delete(slot)
  const entry = fromStored(JSON.parse(value.toString()) as StoredEntry)
  const furthest = entries.get(slot)
  if (furthest === undefined || entry.epoch > furthest.epoch || (entry.epoch === furthest.epoch && entry.confirmed >= furthest.confirmed)) {
    entries.set(slot, entry)
  }
}

interface StoredEntry {
  readonly slot: string
  readonly system_identifier: string
  readonly timeline: number
  readonly database: string
  readonly publication_oid: number
  readonly publication_xmin: string | null
  /** undefined: written by an earlier version. */
  readonly publication_owner?: number | null
  readonly epoch: number
  readonly confirmed: string
}

const toStored = (slot: string, entry: JournalEntry): StoredEntry => ({
  slot,
  system_identifier: entry.systemIdentifier,
  timeline: entry.timeline,
  database: entry.database,
  publication_oid: entry.publicationOid,
  publication_xmin: entry.publicationXmin ?? null,
  publication_owner: entry.publicationOwner ?? null,
  epoch: entry.epoch,
  confirmed: Lsn.format(entry.confirmed)
})

const fromStored = (stored: StoredEntry): JournalEntry => ({
  systemIdentifier: stored.system_identifier,
  timeline: stored.timeline,
  database: stored.database,
  publicationOid: stored.publication_oid,
  publicationXmin: stored.publication_xmin ?? undefined,
  publicationOwner: stored.publication_owner ?? undefined,
  epoch: stored.epoch,
  confirmed: Lsn.parse(stored.confirmed)
})
