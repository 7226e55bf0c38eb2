import { Duration, Effect, Fiber, type Scope, Semaphore } from "effect"
import type pg from "pg"
import { Postgres } from "../connections/Postgres.ts"
import { fromCause, type PostgresError } from "../connections/PostgresError.ts"
import * as Lsn from "../domain/Lsn.ts"
import { quoteIdentifier, quoteLiteral } from "../domain/SqlIdentifier.ts"
import { CaptureError } from "./CaptureError.ts"
import { ReplicationBuffer } from "./ReplicationBuffer.ts"
import type { ReplicationConnection } from "./ReplicationConnection.ts"
import * as SessionSettings from "./SessionSettings.ts"
import type { WalMessage } from "./WalMessage.ts"

/**
 * The slot, held and read. One reader per slot: while this is open, every other one waits.
 *
 * Guarantees: messages come in the order of the WAL, whole transactions in commit order; the slot is confirmed to exactly
 * the positions given to `confirm` and, while nothing is outstanding, to the keepalives' end of WAL; never backwards, never past
 * what was received, never past what was noted before, and not at all unless `confirming` runs. Status messages go out on time
 * whether anybody takes or not.
 */
export interface ReplicationStream {
  /** What has come since the last call, at most about 64 kB of WAL; waits if that is nothing. */
  readonly take: Effect.Effect<ReadonlyArray<WalMessage>, CaptureError>
  /** Whether `take` would not wait. */
  readonly hasMore: () => boolean
  /** Everything before `endLsn`, the end of a commit that was taken, is safe elsewhere. */
  readonly confirm: (endLsn: Lsn.Lsn) => void
  /**
   * Tells the server what is safe, each position once it is noted elsewhere, some ten times a second at the most. Interrupted, it
   * tells the last one. Fails as `note` does, and then the server hears of no further position.
   */
  readonly confirming: <E>(note: (lsn: Lsn.Lsn) => Effect.Effect<void, E>) => Effect.Effect<never, E>
}

export interface StreamOptions {
  readonly slot: string
  readonly publication: string
  readonly walSenderTimeoutSeconds: number
  readonly statusIntervalSeconds: number
  /** Bytes of WAL received and not yet taken, above which the socket is paused. */
  readonly maxBufferedBytes: number
}

/**
 * Opens the stream where the slot was last confirmed, waiting for it while another process reads it; closed with the scope, which
 * tells the server the last position first. `whenTaken` is done once before it waits; if that fails, it does not wait.
 */
export const open = Effect.fnUntraced(function*(
  options: StreamOptions,
  whenTaken: Effect.Effect<void, CaptureError> = Effect.void
): Effect.fn.Return<ReplicationStream, CaptureError | PostgresError, Postgres | Scope.Scope> {
  const postgres = yield* Postgres
  const client = yield* postgres.connect({ replication: true })
  yield* command(client, "Preparing the replication connection", SessionSettings.statement({
    wal_sender_timeout: `${options.walSenderTimeoutSeconds * 1000}`,
    statement_timeout: "0",
    idle_in_transaction_session_timeout: "0"
  }))
  const buffer = yield* Effect.acquireRelease(
    Effect.sync(() => new ReplicationBuffer(connectionOf(client), options)),
    (buffer) => Effect.promise(() => buffer.close())
  )
  yield* startWhenFree(client, buffer, options, whenTaken)
  const scope = yield* Effect.scope
  return {
    take: Effect.callback<ReadonlyArray<WalMessage>, CaptureError>((resume) => {
      const cancel = buffer.take((taken) =>
        resume(taken instanceof CaptureError ? Effect.fail(taken) : Effect.succeed(taken)))
      return Effect.sync(cancel)
    }),
    hasMore: () => buffer.hasMore,
    confirm: (lsn) => buffer.confirm(lsn),
    confirming: (note) => confirming(buffer, note, scope)
  }
})

/** While positions move without pause, how far the slot's may trail; the first after a pause is told at once. */
const tellEveryMillis = 100

const confirming = <E>(buffer: ReplicationBuffer, note: (lsn: Lsn.Lsn) => Effect.Effect<void, E>, scope: Scope.Scope): Effect.Effect<never, E> => {
  const turn = Semaphore.makeUnsafe(1)
  const tellNoted = Effect.suspend(() => {
    const lsn = buffer.untold
    return lsn === undefined ? Effect.void : Effect.tap(note(lsn), () => Effect.sync(() => buffer.tell(lsn)))
  }).pipe(turn.withPermit)
  const untold = Effect.callback<void>((resume) => {
    const withdraw = buffer.whenUntold(() => resume(Effect.void))
    return Effect.sync(withdraw)
  })
  // Beside, so that the end does not cut off a note that is on its way: the last one waits for its turn behind it.
  const tellBeside = Effect.flatMap(Effect.forkIn(tellNoted, scope), Fiber.join)
  return Effect.forever(Effect.andThen(untold, Effect.andThen(tellBeside, Effect.sleep(Duration.millis(tellEveryMillis))))).pipe(
    Effect.onInterrupt(() => Effect.ignore(Effect.timeout(tellNoted, "1 second")))
  )
}

/** First poll, and the cap of the doubling after it: how long a standby takes at most, once the slot is free. */
const firstPollMillis = 50
const maxPollMillis = 1_000

const startWhenFree = Effect.fnUntraced(function*(
  client: pg.Client,
  buffer: ReplicationBuffer,
  options: StreamOptions,
  whenTaken: Effect.Effect<void, CaptureError>
) {
  for (let delay = firstPollMillis, polls = 0;; delay = Math.min(delay * 2, maxPollMillis), polls++) {
    const refused = yield* Effect.flip(start(client, buffer, options)).pipe(Effect.catch(() => Effect.undefined))
    if (refused === undefined) {
      if (polls > 0) yield* Effect.logInfo(`replication slot ${options.slot} is free, and taken over`)
      return
    }
    if (refused.code !== "55006") return yield* explainRefusal(refused, options)
    if (polls === 0) {
      yield* whenTaken
      yield* Effect.logInfo(`replication slot ${options.slot} is read by another process: standing by to take over`)
    }
    yield* Effect.sleep(Duration.millis(delay))
  }
})

/** Succeeds once the server streams. What ends the stream later goes to the buffer, which tells its taker. */
const start = (client: pg.Client, buffer: ReplicationBuffer, { publication, slot }: StreamOptions) =>
  Effect.callback<void, PostgresError>((resume) => {
    const doing = `Reading replication slot ${slot}`
    const connection = connectionOf(client)
    const started = () => {
      buffer.start()
      resume(Effect.void)
    }
    connection.once("replicationStart", started)
    client.query(startStatement(slot, publication)).then(
      () => buffer.fail(interrupted(`${doing}: the server ended the stream`)),
      (cause: unknown) => {
        connection.removeListener("replicationStart", started)
        const error = fromCause(doing, cause)
        resume(Effect.fail(error))
        buffer.fail(interrupted(error.message))
      }
    )
  })

/** From 0/0: the server then starts at what was confirmed last. */
const startStatement = (slot: string, publication: string): string =>
  `START_REPLICATION SLOT ${quoteIdentifier(slot)} LOGICAL 0/0 (proto_version '1', publication_names ${
    quoteLiteral(quoteIdentifier(publication))
  }, messages 'true')`

const explainRefusal = (refused: PostgresError, { slot }: StreamOptions): CaptureError | PostgresError =>
  refused.isRetryable ? interrupted(`Replication slot ${slot}: ${refused.message}`) : refused

const interrupted = (message: string) => new CaptureError({ reason: "interrupted", message })

/** One command of a replication connection: no parameters, one answer. */
export const command = <Row extends object = Record<string, unknown>>(client: pg.Client, doing: string, text: string) =>
  Effect.tryPromise({
    try: async () => (await client.query(text)).rows as ReadonlyArray<Row>,
    catch: (cause) => fromCause(doing, cause)
  })

/** What `pg` has but its types do not say: the protocol's messages as events, and the socket. */
const connectionOf = (client: pg.Client): ReplicationConnection =>
  (client as unknown as { readonly connection: ReplicationConnection }).connection
