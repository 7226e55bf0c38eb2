import { Effect, type Scope } from "effect"
import { randomBytes } from "node:crypto"
import type pg from "pg"
import { to as copyTo } from "pg-copy-streams"
import { Postgres, type Sql, sqlOn } from "../connections/Postgres.ts"
import { fromCause, PostgresError } from "../connections/PostgresError.ts"
import * as Lsn from "../domain/Lsn.ts"
import type { Relation, Tuple } from "../domain/RowChange.ts"
import { quoteIdentifier, quoteLiteral } from "../domain/SqlIdentifier.ts"
import * as TableName from "../domain/TableName.ts"
import { CopyText } from "./CopyText.ts"
import { command } from "./ReplicationStream.ts"
import * as SessionSettings from "./SessionSettings.ts"
import * as SnapshotPlan from "./SnapshotPlan.ts"

/**
 * The database as of one position: exactly the transactions whose commit record starts before `consistentPoint` are
 * visible, and exactly the others are streamed by a slot that stands there.
 */
export interface Snapshot {
  readonly consistentPoint: Lsn.Lsn
  /** When it was taken, in microseconds since 1970-01-01 UTC. */
  readonly takenMicros: bigint
  /** How to read the tables, in pieces of about so many bytes on disk. */
  readonly plan: (relations: ReadonlyArray<Relation>, pieceBytes: number) => Effect.Effect<ReadonlyArray<SnapshotPlan.TablePlan>, PostgresError>
  /** All of them see the same rows, each on a connection of its own. */
  readonly readers: ReadonlyArray<SnapshotReader>
}

export interface SnapshotReader {
  /** Begins a piece; what it gives is run for each chunk of its rows, the last of which is empty. One piece at a time. */
  readonly read: (piece: SnapshotPlan.Piece) => Effect.Effect<Effect.Effect<Chunk, PostgresError>>
}

/** Some dozens of kilobytes, or one row that is larger. */
export interface Chunk {
  readonly rows: ReadonlyArray<Tuple>
  /** As they came from Postgres. */
  readonly bytes: number
}

/**
 * Exported by a temporary slot and taken over by read-only transactions, which last as long as the scope. The temporary slot is
 * dropped at once: the transactions alone keep the rows. As pg_dump does, each first locks the tables against a change of their
 * definition, since a table rewritten by ALTER TABLE looks empty to an older snapshot.
 */
export const open = Effect.fnUntraced(function*(
  tables: ReadonlyArray<TableName.TableName>,
  readerCount: number
): Effect.fn.Return<Snapshot, PostgresError, Postgres | Scope.Scope> {
  const postgres = yield* Postgres
  const clients = yield* Effect.all(Array.from({ length: readerCount }, () => prepareReader(tables)), { concurrency: "unbounded" })
  const consistentPoint = yield* Effect.scoped(Effect.gen(function*() {
    const exporter = yield* postgres.connect({ replication: true })
    yield* command(exporter, "Preparing the snapshot", SessionSettings.statement({ lock_timeout: `${waitMillis}` }))
    const [exported] = yield* command<{ consistent_point: string; snapshot_name: string }>(exporter, "Exporting a snapshot",
      `CREATE_REPLICATION_SLOT ${quoteIdentifier(temporarySlotName())} TEMPORARY LOGICAL pgoutput (SNAPSHOT 'export')`).pipe(
        Effect.mapError(explainWait("a transaction has been writing"))
      )
    for (const client of clients) {
      yield* sqlOn(client).query("Opening the snapshot", `set transaction snapshot ${quoteLiteral(exported!.snapshot_name)}`)
    }
    return Lsn.parse(exported!.consistent_point)
  }))
  const sql = sqlOn(clients[0]!)
  const [taken] = yield* sql.query<{ micros: bigint }>("Opening the snapshot",
    "select (extract(epoch from now()) * 1000000)::bigint as micros")
  return {
    consistentPoint,
    takenMicros: taken!.micros,
    plan: (relations, pieceBytes) => SnapshotPlan.make(sql, relations, pieceBytes),
    readers: clients.map((client) => ({ read: (piece) => Effect.sync(() => readRows(client, piece)) }))
  }
})

/**
 * A connection whose transaction is open and has its locks, and no snapshot yet. `row_security = off` refuses to read a table some of
 * whose rows a policy hides from the role: they would be missing without a word.
 */
const prepareReader = Effect.fnUntraced(function*(
  tables: ReadonlyArray<TableName.TableName>
): Effect.fn.Return<pg.Client, PostgresError, Postgres | Scope.Scope> {
  const client = yield* (yield* Postgres).connect({})
  const sql: Sql = sqlOn(client)
  yield* sql.query("Preparing the snapshot", SessionSettings.statement({
    statement_timeout: "0", idle_in_transaction_session_timeout: "0", lock_timeout: `${waitMillis}`, row_security: "off"
  }))
  yield* sql.query("Opening the snapshot", "begin isolation level repeatable read read only")
  if (tables.length > 0) {
    yield* sql.query("Locking the tables to read", `lock table ${tables.map(TableName.toSql).join(", ")} in access share mode`).pipe(
      Effect.mapError(explainWait("somebody has been changing a table's definition"))
    )
  }
  return client
})

/**
 * How long we wait for anybody. Who wants to ALTER a table that one of our connections has locked waits for us, while the export, or
 * another connection of ours in the queue behind, waits for it; Postgres sees no cycle, because the first connection is idle. So
 * we give way, and come again: shorter than capture's steady run, so that its back-off grows.
 */
const waitMillis = 3_000

/** Contended, and so retried. */
const explainWait = (what: string) => (error: PostgresError): PostgresError =>
  !error.isLockTimeout ? error : new PostgresError({
    reason: error.reason,
    code: error.code,
    message: `${error.message}: ${what} for more than ${waitMillis / 1_000} s; the first snapshot starts between such`
  })

/** Nothing is read ahead beyond what the socket buffers: who does not ask holds the server back. */
const readRows = (client: pg.Client, { relation, statement }: SnapshotPlan.Piece): Effect.Effect<Chunk, PostgresError> => {
  const chunks = client.query(copyTo(statement))[Symbol.asyncIterator]()
  const text = new CopyText(relation.columns.length)
  return Effect.tryPromise({
    try: async () => {
      let bytes = 0
      for (let next = await chunks.next(); next.done !== true; next = await chunks.next()) {
        const chunk = next.value as Buffer
        bytes += chunk.length
        const rows = text.push(chunk)
        if (rows.length > 0) return { rows, bytes }
      }
      return { rows: [], bytes }
    },
    catch: (cause) => fromCause(`Reading the rows of ${TableName.format(relation)}`, cause)
  })
}

const temporarySlotName = (): string => `cdc_snapshot_${randomBytes(6).toString("hex")}`
