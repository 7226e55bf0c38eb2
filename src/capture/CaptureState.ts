import { Effect } from "effect"
import type { Sql } from "../connections/Postgres.ts"
import * as Lsn from "../domain/Lsn.ts"
import { quoteIdentifier } from "../domain/SqlIdentifier.ts"
import type * as TableName from "../domain/TableName.ts"
import * as SnapshotTables from "./SnapshotTables.ts"

/** `pending`: no row read yet; `reading`: the slot stands at the consistent point, rows are being published; `done`: streaming. */
export type SnapshotPhase = "pending" | "reading" | "done"

/** What was captured: compared with what is found at every start, and while running. */
export interface Identity {
  readonly systemIdentifier: string
  readonly database: string
  readonly publicationOid: number
  /** The transaction that last wrote the publication's row; undefined: set up by a version that did not remember it. */
  readonly publicationXmin: string | undefined
  /** Its owner's OID; undefined: set up by a version that did not remember it. */
  readonly publicationOwner: number | undefined
}

/** What capture remembers of itself in Postgres. */
export interface CaptureRecord extends Identity {
  readonly epoch: number
  readonly snapshot: SnapshotPhase
  /** Of the first exported snapshot: reads carry this − 1, the stream starts here. */
  readonly consistentPoint: Lsn.Lsn | undefined
}

/** The table `capture` of the state schema, and what belongs to it. Every function runs on the given connection or transaction. */
export const make = (stateSchema: string, slot: string) => {
  const schema = quoteIdentifier(stateSchema)
  const capture = `${schema}.capture`
  const snapshotTables = SnapshotTables.make(stateSchema, slot)

  const createTables = (sql: Sql) =>
    sql.query("Creating the state schema", `
      create schema if not exists ${schema};
      create table if not exists ${capture} (
        slot text primary key, epoch int not null, system_identifier text not null, database text not null,
        publication_oid oid not null, snapshot text not null check (snapshot in ('pending', 'reading', 'done')),
        consistent_point pg_lsn, last_commit_at timestamptz, last_published_lsn pg_lsn,
        updated_at timestamptz not null default now());
      alter table ${capture} add column if not exists publication_xmin text, add column if not exists publication_owner oid,
        add column if not exists dead_letters bigint not null default 0;`).pipe(Effect.andThen(snapshotTables.create(sql)))

  /** undefined: `setup` was not run for this slot. */
  const load = Effect.fnUntraced(function*(sql: Sql) {
    const [found] = yield* sql.query<{ there: boolean }>(
      "Looking for the state schema", "select to_regclass($1) is not null as there", [capture])
    if (found?.there !== true) return undefined
    const [row] = yield* sql.query<StoredRecord>("Reading what capture remembers", `
      select epoch, system_identifier, database, publication_oid, to_jsonb(c) ->> 'publication_xmin' as publication_xmin,
        to_jsonb(c) ->> 'publication_owner' as publication_owner, snapshot,
        consistent_point::text as consistent_point
      from ${capture} c where slot = $1`, [slot])
    return row === undefined ? undefined : fromRow(row)
  })

  /** A capture begins, or begins anew under a later epoch: nothing is read yet. */
  const remember = Effect.fnUntraced(function*(sql: Sql, identity: Identity, epoch: number) {
    yield* sql.query("Forgetting the former slot", `delete from ${capture} where slot = $1`, [slot])
    yield* snapshotTables.forget(sql)
    yield* sql.query("Remembering the slot's identity", `
      insert into ${capture} (slot, epoch, system_identifier, database, publication_oid, publication_xmin, publication_owner, snapshot)
      values ($1, $6, $2, $3, $4, $5, $7, 'pending')`,
      [slot, identity.systemIdentifier, identity.database, identity.publicationOid, identity.publicationXmin, epoch, identity.publicationOwner])
  })

  /** The same publication as before, of which something was written or learned that changes nothing. */
  const rememberPublication = (sql: Sql, { publicationOwner, publicationXmin }: Identity, epoch: number) =>
    createTables(sql).pipe( // an earlier version's `setup` has not made the column
      Effect.andThen(sql.query("Remembering the publication",
        `update ${capture} set publication_xmin = $3, publication_owner = $4 where slot = $1 and epoch = $2`,
        [slot, epoch, publicationXmin, publicationOwner]))
    )

  /** Locks the row until the transaction ends, so that of two processes only one takes the first snapshot. undefined: another epoch has begun. */
  const lockPhase = Effect.fnUntraced(function*(sql: Sql, epoch: number) {
    const [row] = yield* sql.query<{ snapshot: SnapshotPhase }>(
      "Locking capture's state", `select snapshot from ${capture} where slot = $1 and epoch = $2 for update`, [slot, epoch])
    return row?.snapshot
  })

  /** From here on the slot moves by streaming alone. */
  const startReading = Effect.fnUntraced(function*(sql: Sql, consistentPoint: Lsn.Lsn, names: ReadonlyArray<TableName.TableName>) {
    yield* sql.query("Starting the snapshot",
      `update ${capture} set snapshot = 'reading', consistent_point = $2::pg_lsn, updated_at = now() where slot = $1`,
      [slot, Lsn.format(consistentPoint)])
    yield* snapshotTables.begin(sql, names)
  })

  const snapshotDone = (sql: Sql, epoch: number) =>
    sql.query("Ending the snapshot", `update ${capture} set snapshot = 'done', updated_at = now() where slot = $1 and epoch = $2`, [slot, epoch])

  /** `commitMicros` and `lsn` of the last transaction that Kafka has acknowledged. */
  const published = (sql: Sql, commitMicros: bigint, lsn: Lsn.Lsn) =>
    sql.query("Recording what is published", `
      update ${capture} set last_commit_at = 'epoch'::timestamptz + $2::bigint * interval '1 microsecond',
        last_published_lsn = $3::pg_lsn, updated_at = now() where slot = $1`,
      [slot, commitMicros, Lsn.format(lsn)])

  /** Counts records that were too large for their topic. */
  const setAside = (sql: Sql, records: number) =>
    sql.query("Counting capture's dead letters",
      `update ${capture} set dead_letters = dead_letters + $2 where slot = $1`, [slot, records])

  return { createTables, setAside, load, remember, rememberPublication, lockPhase, startReading, snapshotTables, snapshotDone, published }
}

export type CaptureState = ReturnType<typeof make>

interface StoredRecord {
  readonly epoch: number
  readonly system_identifier: string
  readonly database: string
  readonly publication_oid: number
  readonly publication_xmin: string | null
  readonly publication_owner: string | null
  readonly snapshot: SnapshotPhase
  readonly consistent_point: string | null
}

const fromRow = (row: StoredRecord): CaptureRecord => ({
  epoch: row.epoch,
  systemIdentifier: row.system_identifier,
  database: row.database,
  publicationOid: Number(row.publication_oid),
  publicationXmin: row.publication_xmin ?? undefined,
  publicationOwner: row.publication_owner === null ? undefined : Number(row.publication_owner),
  snapshot: row.snapshot,
  consistentPoint: row.consistent_point === null ? undefined : Lsn.parse(row.consistent_point)
})
