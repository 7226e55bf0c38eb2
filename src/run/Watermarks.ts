import { Deferred, Effect } from "effect"
import { randomUUID } from "node:crypto"
import type { Mark } from "../capture/ChangeReader.ts"
import type { Sql } from "../connections/Postgres.ts"
import type { PostgresError } from "../connections/PostgresError.ts"
import type { Lsn } from "../domain/Lsn.ts"
import type { OutgoingRecord } from "../domain/OutgoingRecord.ts"
import type { Relation, RowChange } from "../domain/RowChange.ts"
import * as TableName from "../domain/TableName.ts"

/** Told in the stream's order of what it changes in one table. */
export interface Watcher {
  /** The text of a record's key; a change of key tells both. */
  readonly key: (key: string) => void
  readonly truncated: () => void
  /** The changes that follow describe the table so. */
  readonly described: (relation: Relation) => void
}

/**
 * Points in the stream, made by this session: a message is written into the WAL, and when the stream comes to it something is done,
 * with everything before it acknowledged by Kafka and nothing after it sent.
 *
 * Records made there carry the position (epoch, watermark − 1, 1…n): above everything streamed before, whose commit records start
 * lower, and below everything after. The − 1, because a message's LSN is the end of its record and can be equal to the start of
 * the commit record behind it.
 */
export interface Watermarks {
  /** Emits a watermark and does `action` when the stream comes to it; the stream waits meanwhile. `transactions`: how many it had begun before. */
  readonly at: <A, E, R>(
    action: (lsn: Lsn, transactions: number) => Effect.Effect<A, E, R>
  ) => Effect.Effect<A, E | PostgresError, R>
  /** Tells `watcher` of everything that the stream changes in the table from now on, until the returned function is called. */
  readonly watch: (table: TableName.TableName, topic: string, watcher: Watcher) => () => void
  /** For the stream: what is to be done at a mark; undefined: it is no watermark of this session. */
  readonly actionAt: (mark: Mark) => Effect.Effect<void> | undefined
  /** For the stream: these changes became these records. */
  readonly passed: (changes: ReadonlyArray<RowChange>, records: ReadonlyArray<OutgoingRecord>) => void
}

const prefix = "cdc.watermark"

/** For one session of capture: what an earlier one left in the WAL is not for this one. */
export const make = (sql: Sql): Watermarks => {
  const session = randomUUID()
  const actions = new Map<string, (lsn: Lsn, transactions: number) => Effect.Effect<void>>()
  const watches = new Set<Watch>()
  let emitted = 0
  return {
    at: <A, E, R>(action: (lsn: Lsn, transactions: number) => Effect.Effect<A, E, R>) =>
      Effect.gen(function*() {
        const context = yield* Effect.context<R>()
        const result = yield* Deferred.make<A, E>()
        const token = `${session}:${++emitted}`
        actions.set(token, (lsn, transactions) =>
          Effect.suspend(() => action(lsn, transactions)).pipe(Effect.provideContext(context), Deferred.into(result), Effect.asVoid))
        return yield* Effect.ensuring(
          Effect.andThen(emit(sql, token), Deferred.await(result)),
          Effect.sync(() => actions.delete(token))
        )
      }),
    watch: (table, topic, watcher) => {
      const watch = { table, topic, watcher, relation: undefined }
      watches.add(watch)
      return () => watches.delete(watch)
    },
    actionAt: (mark) => mark.prefix === prefix ? actions.get(mark.content)?.(mark.lsn, mark.transactionsBefore) : undefined,
    passed: (changes, records) => {
      for (const watch of watches) tell(watch, changes, records)
    }
  }
}

/**
 * The xid makes the statement's end a commit, which flushes the WAL on every version: the stream is sent no further than that. It
 * waits for no standby, because the stream does not, either.
 */
const emit = (sql: Sql, token: string) =>
  sql.query("Writing a watermark into the WAL", `
    select set_config('synchronous_commit', 'local', true), pg_current_xact_id(), pg_logical_emit_message(false, $1::text, $2::text)`, [prefix, token])

interface Watch {
  readonly table: TableName.TableName
  readonly topic: string
  readonly watcher: Watcher
  relation: Relation | undefined
}

/** Keys as the records have them, so that they compare with those of other records of the table. */
const tell = (watch: Watch, changes: ReadonlyArray<RowChange>, records: ReadonlyArray<OutgoingRecord>): void => {
  const { table: { schema, table }, topic, watcher } = watch
  for (const { kind, relation } of changes) {
    if (relation.table !== table || relation.schema !== schema) continue
    if (relation !== watch.relation) watcher.described(watch.relation = relation)
    if (kind === "truncate") watcher.truncated()
  }
  for (const record of records) if (record.topic === topic && record.key !== null) watcher.key(record.key.toString())
}
