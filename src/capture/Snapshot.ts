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

/**
 * The database as of one position: exactly the transactions whose commit record starts before `consistentPoint` are
 * visible, and exactly the others are streamed by a slot that stands there.
 */
export interface Snapshot {
  readonly consistentPoint: Lsn.Lsn
  /** When it was taken, in microseconds since 1970-01-01 UTC. */
  readonly takenMicros: bigint
  readonly isEmpty: (table: ReadableTable) => Effect.Effect<boolean, PostgresError>
  /** The rows of a table, in chunks of some dozens of kilobytes; ends with an empty one. One table at a time. */
  readonly read: (table: ReadableTable) => Effect.Effect<Effect.Effect<ReadonlyArray<Tuple>, PostgresError>>
}

export interface ReadableTable {
  readonly relation: Relation
  readonly isPartitioned: boolean
}

/**
 * Exported by a temporary slot and taken over by a read-only transaction of its own, which lasts as long as the scope.
 * The temporary slot is dropped at once: the transaction alone keeps the rows. As pg_dump does, it first locks the tables
 * against a change of their definition, since a table rewritten by ALTER TABLE looks empty to an older snapshot.
 */
export const open = Effect.fnUntraced(function*(
  tables: ReadonlyArray<TableName.TableName>
): Effect.fn.Return<Snapshot, PostgresError, Postgres | Scope.Scope> {
  const postgres = yield* Postgres
  const reader = yield* postgres.connect({})
  const sql = sqlOn(reader)
  yield* sql.query("Preparing the snapshot", SessionSettings.statement({ statement_timeout: "0", idle_in_transaction_session_timeout: "0" }))
  yield* sql.query("Opening the snapshot", "begin isolation level repeatable read read only")
  if (tables.length > 0) {
    yield* sql.query("Locking the tables to read", `lock table ${tables.map(TableName.toSql).join(", ")} in access share mode`)
  }
  const consistentPoint = yield* Effect.scoped(Effect.gen(function*() {
    const exporter = yield* postgres.connect({ replication: true })
    yield* command(exporter, "Preparing the snapshot", SessionSettings.statement({ lock_timeout: `${exportWaitMillis}` }))
    const [exported] = yield* command<{ consistent_point: string; snapshot_name: string }>(exporter, "Exporting a snapshot",
      `CREATE_REPLICATION_SLOT ${quoteIdentifier(temporarySlotName())} TEMPORARY LOGICAL pgoutput (SNAPSHOT 'export')`).pipe(Effect.mapError(explainWait))
    yield* sql.query("Opening the snapshot", `set transaction snapshot ${quoteLiteral(exported!.snapshot_name)}`)
    return Lsn.parse(exported!.consistent_point)
  }))
  const [taken] = yield* sql.query<{ micros: bigint }>("Opening the snapshot",
    "select (extract(epoch from now()) * 1000000)::bigint as micros")
  return {
    consistentPoint,
    takenMicros: taken!.micros,
    isEmpty: (table) => isEmpty(sql, table),
    read: (table) => Effect.sync(() => readRows(reader, table))
  }
})

/**
 * How long the export waits for a transaction that was writing before it. A writer that wants to ALTER one of our locked tables
 * waits for us while the export waits for it; Postgres sees no cycle, because our reader is idle. So we give way, and come again:
 * shorter than capture's steady run, so that its back-off grows.
 */
const exportWaitMillis = 3_000

/** Lock not available: contended, and so retried. */
const explainWait = (error: PostgresError): PostgresError =>
  error.code !== "55P03" ? error : new PostgresError({
    reason: error.reason,
    code: error.code,
    message: `${error.message}: a transaction has been writing for more than ${exportWaitMillis / 1_000} s; the first snapshot starts between such`
  })

const isEmpty = Effect.fnUntraced(function*(sql: Sql, table: ReadableTable) {
  const [row] = yield* sql.query<{ empty: boolean }>(`Looking into ${TableName.format(table.relation)}`,
    `select not exists (select from ${source(table)}) as empty`)
  return row!.empty
})

const readRows = (reader: pg.Client, table: ReadableTable): Effect.Effect<ReadonlyArray<Tuple>, PostgresError> => {
  const columns = table.relation.columns.map((column) => quoteIdentifier(column.name)).join(", ")
  const chunks = reader.query(copyTo(`copy (select ${columns} from ${source(table)}) to stdout`))[Symbol.asyncIterator]()
  const text = new CopyText()
  return Effect.tryPromise({
    try: async () => {
      for (let next = await chunks.next(); next.done !== true; next = await chunks.next()) {
        const rows = text.push(next.value as Buffer)
        if (rows.length > 0) return rows
      }
      return []
    },
    catch: (cause) => fromCause(`Reading the rows of ${TableName.format(table.relation)}`, cause)
  })
}

/** A partitioned table is read through its root; of another one only its own rows: those of inheriting tables are streamed as theirs. */
const source = ({ isPartitioned, relation }: ReadableTable): string => `${isPartitioned ? "" : "only "}${TableName.toSql(relation)}`

const temporarySlotName = (): string => `cdc_snapshot_${randomBytes(6).toString("hex")}`
