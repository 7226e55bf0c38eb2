import { Effect } from "effect"
import { Postgres, type Sql } from "../connections/Postgres.ts"
import type { PostgresError } from "../connections/PostgresError.ts"
import * as Lsn from "../domain/Lsn.ts"
import type { CaptureState } from "./CaptureState.ts"
import * as Publication from "./Publication.ts"
import { command } from "./ReplicationStream.ts"
import * as Slot from "./Slot.ts"
import type { JournalEntry, Names, ServerFacts, SlotFacts } from "./SlotState.ts"

/** What the server says of itself. */
export const readServer = Effect.fnUntraced(function*(sql: Sql) {
  const [row] = yield* sql.query<StoredServer>("Asking the server who it is", `
    select (select system_identifier::text from pg_control_system()) as system_identifier, current_database() as database,
      ('x' || left(pg_walfile_name(pg_current_wal_insert_lsn()), 8))::bit(32)::int as timeline, pg_current_wal_insert_lsn()::text as wal_end,
      current_setting('server_version_num')::int as version, current_setting('wal_level') as wal_level,
      current_setting('max_replication_slots')::int as max_slots, (select count(*)::int from pg_replication_slots) as slots,
      (select rolreplication or rolsuper from pg_roles where rolname = current_user) as may_replicate, current_user as role`)
  return row!
})

export interface StoredServer {
  readonly system_identifier: string
  readonly database: string
  readonly timeline: number
  readonly wal_end: string
  readonly version: number
  readonly wal_level: string
  readonly max_slots: number
  readonly slots: number
  readonly may_replicate: boolean
  readonly role: string
}

/**
 * What Postgres knows of a slot, beside what Kafka does. The journal is read after the slot, and moves before it: so a slot beyond
 * the entry was moved by somebody else, also while a process of ours reads it. The end of the WAL is read last of all: an entry beyond
 * it is of another history, also while the hub writes and a process of ours confirms.
 */
export const look = Effect.fnUntraced(function*<E>(
  state: CaptureState,
  names: Names,
  known: { readonly journal: Effect.Effect<JournalEntry | undefined, E> } & Pick<SlotFacts, "tail" | "isReader">
): Effect.fn.Return<SlotFacts, PostgresError | E, Postgres> {
  const sql = yield* Postgres
  const record = yield* state.load(sql)
  const slot = yield* Slot.read(sql, names.slot)
  const publication = yield* Publication.read(sql, names.publication)
  const journal = yield* known.journal
  const stored = yield* readServer(sql)
  const server: ServerFacts = {
    systemIdentifier: stored.system_identifier,
    database: stored.database,
    timeline: stored.timeline,
    history: journal === undefined || journal.timeline === stored.timeline ? [] : yield* readHistory(stored.timeline),
    walEnd: Lsn.parse(stored.wal_end)
  }
  return { record, journal, server, slot, publication, tail: known.tail, isReader: known.isReader }
})

/** The timelines before this one, from its history file: the first has none. */
const readHistory = Effect.fnUntraced(function*(timeline: number) {
  if (timeline === 1) return []
  return yield* Effect.scoped(Effect.gen(function*() {
    const client = yield* (yield* Postgres).connect({ replication: true })
    const [file] = yield* command<{ content: unknown }>(client, `Reading the history of timeline ${timeline}`, `TIMELINE_HISTORY ${timeline}`)
    return parseHistory(String(file?.content))
  }))
})

/** Lines of `<timeline> <position at which it was left> <reason>`. Source: Postgres' sources, access/transam/timeline.c. */
export const parseHistory = (content: string): ServerFacts["history"] =>
  content.split("\n").flatMap((line) => {
    const match = /^\s*(\d+)\s+([0-9A-Fa-f]+\/[0-9A-Fa-f]+)/.exec(line)
    return match === null ? [] : [{ timeline: Number(match[1]), end: Lsn.parse(match[2]!) }]
  })
