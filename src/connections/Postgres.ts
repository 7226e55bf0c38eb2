import { Cause, Context, Effect, Exit, Layer, Redacted, Scope } from "effect"
import pg from "pg"
import { AppConfig } from "../Config.ts"
import { arrayLiteral } from "./ArrayLiteral.ts"
import { CopyIn, type CopyRow, copyText } from "./CopyIn.ts"
import { prepared } from "./PreparedStatements.ts"
import { fromCause, PostgresError } from "./PostgresError.ts"

/** Runs statements, on any free connection or on the one of a transaction. Values are parameters, always. */
export interface Sql {
  /**
   * int8 comes back as bigint, numeric, dates and timestamps as Postgres' text, json as parsed JSON.
   * `doing` opens the message of a failure: what was being done, in a person's words.
   */
  readonly query: <Row extends object = Record<string, unknown>>(
    doing: string,
    statement: string,
    parameters?: ReadonlyArray<unknown>
  ) => Effect.Effect<ReadonlyArray<Row>, PostgresError>
  /** Appends rows by a `COPY … FROM STDIN`, for two thirds of what an INSERT of arrays costs the server; one that is there already fails. */
  readonly copy: (doing: string, statement: string, rows: ReadonlyArray<CopyRow>) => Effect.Effect<void, PostgresError>
}

/** By which the server knows our sessions. */
export const applicationName = "cdc"

/** A pool of SQL connections, and connections of their own for what can't share one. */
export class Postgres extends Context.Service<Postgres, Sql & {
  /** All of `work` commits, or none of it; interruption and any failure roll back. READ COMMITTED. */
  readonly transaction: <A, E, R>(
    work: (sql: Sql) => Effect.Effect<A, E, R>
  ) => Effect.Effect<A, E | PostgresError, R>
  /**
   * A dedicated connection, closed with the scope; `replication` opens it in logical replication mode
   * (Postgres manual, 54.4).
   */
  readonly connect: (options: {
    readonly replication?: boolean
  }) => Effect.Effect<pg.Client, PostgresError, Scope.Scope>
}>()("cdc/connections/Postgres") {
  static readonly layer = Layer.effect(
    Postgres,
    Effect.gen(function*() {
      const { source } = yield* AppConfig
      const connectionString = Redacted.value(source.databaseUrl)
      const pool = yield* Effect.acquireRelease(
        Effect.sync(() => {
          const pool = new pg.Pool({ connectionString, max: source.poolSize, types, application_name: applicationName, connectionTimeoutMillis: 10_000, ...keptAlive })
          pool.on("error", () => {}) // an idle connection that breaks is replaced at its next use
          // One in use may break between two statements, when nothing else listens: its next statement fails.
          pool.on("connect", (client) => void client.on("error", () => {}))
          return pool
        }),
        (pool) => Effect.promise(() => pool.end())
      )

      const transaction = <A, E, R>(work: (sql: Sql) => Effect.Effect<A, E, R>) =>
        Effect.acquireUseRelease(
          run("Connecting to Postgres", () => pool.connect()),
          (client) =>
            run("Opening a transaction", () => client.query(begin)).pipe(
              Effect.andThen(work(sqlOn(client))),
              Effect.tap(() => run("Committing", () => client.query("commit")))
            ),
          (client, exit) => Exit.isSuccess(exit) ? Effect.sync(() => client.release()) : rollBack(client, exit.cause)
        )

      const connect = (options: { readonly replication?: boolean }) =>
        Effect.acquireRelease(
          run("Connecting to Postgres", async () => {
            const client = new pg.Client({
              connectionString,
              types,
              application_name: applicationName,
              connectionTimeoutMillis: 10_000,
              ...keptAlive,
              ...(options.replication === true ? { replication: "database" } : {})
            } as pg.ClientConfig)
            client.on("error", () => {}) // reported by the query or stream that is under way
            await client.connect()
            return client
          }),
          (client) => Effect.promise(() => client.end().catch(() => {}))
        )

      return Postgres.of({ ...sqlOn(pool), transaction, connect })
    })
  )
}

/** A process that is frozen, or cut off, keeps what its transaction has locked no longer than this: then the server ends its session. */
const begin = "begin; set local idle_in_transaction_session_timeout = '30s'"

/** A peer that vanished without a word shows within a minute or two, not after the two hours of most systems. */
const keptAlive = { keepAlive: true, keepAliveInitialDelayMillis: 10_000 }

/** The same statements on a connection that somebody else keeps. */
export const sqlOn = (client: pg.Pool | pg.ClientBase): Sql => ({
  query: <Row extends object>(doing: string, statement: string, parameters: ReadonlyArray<unknown> = []) =>
    run(doing, async () => (await client.query({ ...prepared(statement, parameters), text: statement, values: parameters.map(encoded) })).rows as ReadonlyArray<Row>),
  copy: (doing, statement, rows) => run(doing, () => copied(client, new CopyIn(statement, copyText(rows))))
})

const copied = (client: pg.Pool | pg.ClientBase, copy: CopyIn): Promise<void> =>
  new Promise((resolve, reject) => {
    client.query(copy as never, undefined as never, (error: Error | null | undefined) => error ? reject(error) : resolve())
  })

const encoded = (parameter: unknown): unknown => Array.isArray(parameter) ? arrayLiteral(parameter) ?? parameter : parameter

const run = <A>(doing: string, work: () => Promise<A>): Effect.Effect<A, PostgresError> =>
  Effect.tryPromise({ try: work, catch: (cause) => fromCause(doing, cause) })

/**
 * A connection whose rollback fails is closed, not reused; one whose prepared statements no longer fit the hub's tables, too.
 * Interrupted queries are waited for: a rollback queues behind them.
 */
const rollBack = (client: pg.PoolClient, cause: Cause.Cause<unknown>) => {
  const isOutdated = cause.reasons.some((reason) => Cause.isFailReason(reason) && reason.error instanceof PostgresError && reason.error.isOutdatedStatement)
  return Effect.promise(() => client.query("rollback").then(() => client.release(isOutdated), (error: Error) => client.release(error)))
}

const oid = { int8: 20, numeric: 1700, date: 1082, timestamp: 1114, timestamptz: 1184, oid: 26, xid: 28 } as const
const parsers: Record<number, (text: string) => unknown> = {
  [oid.int8]: BigInt,
  [oid.numeric]: String,
  [oid.date]: String,
  [oid.timestamp]: String,
  [oid.timestamptz]: String
}
const types = {
  getTypeParser: (typeOid: number, format?: "text" | "binary") =>
    (format === "binary" ? undefined : parsers[typeOid]) ?? pg.types.getTypeParser(typeOid, format as "text")
} as pg.CustomTypesConfig
