import { Duration, Effect, type Latch, Schedule } from "effect"
import type { CaptureError } from "../capture/CaptureError.ts"
import * as OpenWriters from "../capture/OpenWriters.ts"
import type { Reread } from "../capture/Rereads.ts"
import { Kafka } from "../connections/Kafka.ts"
import type { KafkaError } from "../connections/KafkaError.ts"
import { Postgres } from "../connections/Postgres.ts"
import type { PostgresError } from "../connections/PostgresError.ts"
import * as TableName from "../domain/TableName.ts"
import type { EncodeError } from "../publish/EncodeError.ts"
import { readTable, type RereadTools } from "./RereadTable.ts"

export type RereadFailure = CaptureError | EncodeError | KafkaError | PostgresError

/** Deletes, for a re-read in state `sweeping`, the keys that the table has no more. May be called again for the same one. */
export type Sweep<R> = (reread: Reread) => Effect.Effect<void, RereadFailure, R>

export interface RereadWork<R> extends RereadTools {
  /** Those that this session captures: re-reads of others wait for a process that does. */
  readonly tables: ReadonlyArray<TableName.TableName>
  /** Open once somebody has asked for a re-read. */
  readonly requested: Latch.Latch
  readonly sweep: Sweep<R>
}

/**
 * Carries out the re-reads that were asked for, one at a time, beside the stream and for as long as that lasts. What passes by itself
 * is tried again; a re-read that can't be done is marked failed, with the reason, and the next one has its turn.
 *
 * Guarantee: when a re-read is done, the topic has a record of every row that the table had meanwhile, and no record of the re-read stands
 * behind one of a later value of its key. After an interruption it goes on behind the last rows that Kafka is known to have.
 */
export const work = <R>(options: RereadWork<R>): Effect.Effect<never, never, Kafka | Postgres | R> =>
  turn(options).pipe(
    Effect.tapError((error) => error.isRetryable ? Effect.logDebug(error.message) : Effect.logWarning(`no re-reads: ${error.message}`)),
    Effect.retry({ while: (error) => error.isRetryable, schedule: pauses }),
    Effect.catch(() => options.requested.await),
    Effect.forever
  )

const pauses = Schedule.min([Schedule.exponential("100 millis"), Schedule.spaced("5 seconds")])

const turn = Effect.fnUntraced(function*<R>(options: RereadWork<R>) {
  const sql = yield* Postgres
  const reread = yield* next(options)
  const name = TableName.format(reread.table)
  yield* carryOut(options, reread).pipe(
    Effect.tapError((error) => error.isRetryable ? options.rereads.delayed(sql, reread, error.message) : Effect.void),
    Effect.catchIf((error) => !error.isRetryable, (error) =>
      Effect.andThen(Effect.logError(`re-reading ${name} failed: ${error.message}`), options.rereads.failed(sql, reread, error.message)))
  )
})

/**
 * The next one, or the wait for it. `requested` is closed before looking: who asks afterwards opens it again. The stream, also that of an
 * earlier session, brings a request before others see its row; so as long as somebody writes to the list, it is looked at again and again.
 */
const next = Effect.fnUntraced(function*<R>({ rereads, requested, tables }: RereadWork<R>) {
  const sql = yield* Postgres
  for (let delay = firstDelayMillis;; delay = Math.min(delay * 2, maxDelayMillis)) {
    yield* requested.close
    const isWritten = yield* OpenWriters.anyOf(sql, rereads.table)
    const reread = yield* rereads.next(sql, tables)
    if (reread !== undefined) return reread
    yield* isWritten ? Effect.raceFirst(Effect.sleep(Duration.millis(delay)), requested.await) : requested.await
  }
})

/** A commit's way to the standby and back. */
const firstDelayMillis = 5
const maxDelayMillis = 1_000

/** Its rows, or its sweep: whichever is next. */
const carryOut = Effect.fnUntraced(function*<R>(options: RereadWork<R>, reread: Reread): Effect.fn.Return<void, RereadFailure, Kafka | Postgres | R> {
  if (reread.state !== "sweeping") return yield* readTable(options, reread)
  const sql = yield* Postgres
  if (yield* options.rereads.isUnread(sql, reread)) return yield* options.rereads.readFirst(sql, reread)
  yield* options.sweep(reread)
  yield* options.rereads.done(sql, reread)
})
