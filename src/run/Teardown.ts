import { Effect } from "effect"
import * as Publication from "../capture/Publication.ts"
import * as Slot from "../capture/Slot.ts"
import { AppConfig } from "../Config.ts"
import { Kafka } from "../connections/Kafka.ts"
import { Postgres } from "../connections/Postgres.ts"
import { quoteIdentifier } from "../domain/SqlIdentifier.ts"
import * as TopicName from "../domain/TopicName.ts"
import * as Topics from "../publish/Topics.ts"
import * as Journal from "./Journal.ts"

/**
 * Removes slot, publication and state schema; a reader of the slot is hung up on. The topics stay, since others read them,
 * unless `topics` asks for them too: the tables' with their dead letters, and the events'. The hub's own tables are not touched.
 * May be run again. Returns what it did, a line each.
 */
export const teardownWith = Effect.fnUntraced(function*(options: { readonly topics: boolean }) {
  const { kafka, source } = yield* AppConfig
  const sql = yield* Postgres
  const lines: Array<string> = []
  const slot = yield* Slot.read(sql, source.slot)
  if (slot !== undefined) yield* Slot.drop(sql, source.slot)
  lines.push(`replication slot ${source.slot}: ${slot === undefined ? "was not there" : "dropped"}`)
  const publication = yield* Publication.read(sql, source.publication)
  yield* Publication.drop(sql, source.publication)
  lines.push(`publication ${source.publication}: ${publication === undefined ? "was not there" : "dropped"}`)
  yield* sql.query("Dropping the state schema", `drop schema if exists ${quoteIdentifier(source.stateSchema)} cascade`)
  lines.push(`state schema ${source.stateSchema}: dropped`)
  const isLast = yield* forgetJournal(source.slot)
  const journal = isLast ? [TopicName.ofJournal(kafka.topicPrefix)] : []
  const tables = source.tables.map((table) => TopicName.ofTable(kafka.topicPrefix, table))
  const events = Topics.ofEvents(kafka).map(({ topic }) => topic)
  lines.push(yield* topicsLine([...tables, ...events, ...journal], options.topics))
  return lines
})

/** So that a later `setup` is a beginning, and no gap. Tells whether no other slot is remembered there. */
const forgetJournal = (slot: string) =>
  Effect.scoped(Effect.flatMap(Journal.open(slot), (journal) => Effect.map(journal.forget, (others) => !others)))

/** As a verb of its own does it: the topics stay. */
export const teardown = teardownWith({ topics: false })

const topicsLine = Effect.fnUntraced(function*(topics: ReadonlyArray<string>, remove: boolean) {
  const kafka = yield* Kafka
  const isOurs = (name: string) => topics.some((topic) => name === topic || (name.startsWith(`${topic}.`) && name.endsWith(".dlq")))
  const there = yield* kafka.admin("Looking at the topics", async (admin) => (await admin.listTopics()).filter(isOurs))
  if (there.length === 0) return "topics: none there"
  if (!remove) return `topics: ${there.length} kept, with all that was published: ${there.join(", ")}`
  yield* kafka.admin("Deleting topics", (admin) => admin.deleteTopics({ topics: there }))
  return `topics: deleted ${there.join(", ")}`
})
