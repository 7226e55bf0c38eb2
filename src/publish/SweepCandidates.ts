import { Effect, type Scope } from "effect"
import { Postgres, sqlOn } from "../connections/Postgres.ts"
import type { PostgresError } from "../connections/PostgresError.ts"
import type { ScannedRecord } from "./TopicScan.ts"

/** A key of a topic, and where its records are. */
export interface SweptKey {
  readonly partition: number
  readonly key: Buffer
}

/**
 * Keys that may have to be deleted from a topic, on the disk of the database: a temporary table on a connection of its own, which
 * writes no WAL and is gone with the connection. Memory holds one stretch of a scan.
 */
export interface SweepCandidates {
  /** Keys of rows come or stay, with their offset; keys of rows that are gone go. */
  readonly keep: (records: ReadonlyArray<ScannedRecord>) => Effect.Effect<void, PostgresError>
  /** All of these go. */
  readonly drop: (records: ReadonlyArray<ScannedRecord>) => Effect.Effect<void, PostgresError>
  /** What lies at or behind its partition's bound goes; without a bound, everything of the partition. */
  readonly boundTo: (bounds: ReadonlyMap<number, bigint>) => Effect.Effect<void, PostgresError>
  /** The next ones after `key` (undefined: the first), in the order of their bytes. */
  readonly after: (key: Buffer | undefined, limit: number) => Effect.Effect<ReadonlyArray<SweptKey>, PostgresError>
}

export const open: Effect.Effect<SweepCandidates, PostgresError, Postgres | Scope.Scope> = Effect.gen(function*() {
  const sql = sqlOn(yield* (yield* Postgres).connect({}))
  yield* sql.query("Making room for the sweep's keys", `
    set statement_timeout = 0; set idle_session_timeout = 0;
    create temporary table sweep_candidates (key bytea primary key, partition int not null, "offset" bigint not null)`)

  const drop = (keys: ReadonlyArray<Buffer>) =>
    keys.length === 0 ? Effect.void : Effect.asVoid(
      sql.query("Taking keys from the sweep", "delete from sweep_candidates where key = any ($1::bytea[])", [keys]))

  return {
    keep: Effect.fnUntraced(function*(records) {
      const last = new Map(records.map((record) => [record.key.toString("latin1"), record])) // a key's last record counts
      const rows = [...last.values()].filter(({ fate }) => fate === "row")
      if (rows.length > 0) {
        yield* sql.query("Noting keys for the sweep", `
          insert into sweep_candidates select * from unnest($1::bytea[], $2::int[], $3::bigint[])
          on conflict (key) do update set "offset" = excluded."offset"`,
          [rows.map(({ key }) => key), rows.map(({ partition }) => partition), rows.map(({ offset }) => String(offset))])
      }
      yield* drop([...last.values()].filter(({ fate }) => fate === "gone").map(({ key }) => key))
    }),
    drop: (records) => drop(records.map(({ key }) => key)),
    boundTo: (bounds) =>
      Effect.asVoid(sql.query("Bounding the sweep", `
        delete from sweep_candidates c where not exists (
          select from unnest($1::int[], $2::bigint[]) as b (partition, bound) where b.partition = c.partition and c."offset" < b.bound)`,
        [[...bounds.keys()], [...bounds.values()].map(String)])),
    after: (key, limit) =>
      sql.query<SweptKey>("Reading the sweep's keys", "select key, partition from sweep_candidates where key > $1 order by key limit $2",
        [key ?? Buffer.alloc(0), limit])
  }
})
