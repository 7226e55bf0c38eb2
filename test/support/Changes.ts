import { Effect } from "effect"
import type { Sql } from "../../src/connections/Postgres.ts"
import { Lsn } from "../../src/domain/Lsn.ts"
import type { RawRecord, SourceChange } from "../../src/domain/SourceChange.ts"
import * as TableName from "../../src/domain/TableName.ts"
import * as TopicName from "../../src/domain/TopicName.ts"
import type { ClaimedBatch } from "../../src/materialize/Materializer.ts"
import { murmur2, toPositive } from "../../src/publish/Murmur2.ts"

/** A row as it stands in its topic: uuid, numeric, timestamptz and jsonb as text. */
export type Row = Readonly<Record<string, unknown>>
export type Op = "c" | "u" | "d" | "r" | "t"

export interface PartitionLog {
  readonly topic: string
  readonly partition: number
  readonly changes: Array<SourceChange>
}

/**
 * What the topics would hold, in memory: changes appended table by table, each at the position after the last one of the
 * whole database, in the partition that its key hashes to.
 */
export class Changes {
  readonly partitions: number
  /** The transaction that what is appended from now on came from; 0: none that anybody could be waiting for. */
  xid = 0
  readonly #logs = new Map<string, Array<PartitionLog>>()
  #lsn = 0n

  constructor(partitions = 3) {
    this.partitions = partitions
  }

  /** Appends a row's change; `table` as `TableName.format` writes it. */
  append(table: string, op: "c" | "u" | "r", key: string, row: Row): void {
    this.#push(table, this.partitionOf(key), key, (common) => ({
      ...common,
      kind: "upsert",
      key,
      row,
      isRead: op === "r",
      isNew: op !== "u"
    }))
  }

  delete(table: string, key: string): void {
    this.#push(table, this.partitionOf(key), key, (common) => ({ ...common, kind: "delete", key }))
  }

  /** A TRUNCATE reaches every partition, at one position. */
  truncate(table: string): void {
    for (let partition = 0; partition < this.partitions; partition++) {
      this.#push(table, partition, "", (common) => ({ ...common, kind: "truncate" }))
    }
  }

  /** Appends `count` records of a partition, from `back` before its end, once more, with the positions that they had: a producer that asked twice. */
  repeat(table: string, partition: number, count: number, back = count): void {
    const log = this.log(table, partition)
    const from = Math.max(0, log.changes.length - back)
    for (const change of log.changes.slice(from, from + count)) {
      log.changes.push({ ...change, record: { ...change.record, offset: BigInt(log.changes.length) } })
    }
  }

  partitionOf(key: string): number {
    return toPositive(murmur2(Buffer.from(key))) % this.partitions
  }

  /** All partitions of a table, empty ones included. */
  logs(table: string): ReadonlyArray<PartitionLog> {
    let logs = this.#logs.get(table)
    if (logs === undefined) {
      const topic = TopicName.ofTable("hub", TableName.parse(table))
      logs = Array.from({ length: this.partitions }, (_, partition) => ({ topic, partition, changes: [] }))
      this.#logs.set(table, logs)
    }
    return logs
  }

  log(table: string, partition: number): PartitionLog {
    return this.logs(table)[partition]!
  }

  #push(table: string, partition: number, key: string, make: (common: Pick<SourceChange, "record" | "position" | "commitMicros" | "xid">) => SourceChange) {
    const log = this.log(table, partition)
    const record: RawRecord = {
      topic: log.topic,
      partition,
      offset: BigInt(log.changes.length),
      key: Buffer.from(key),
      value: null,
      headers: []
    }
    log.changes.push(make({ record, position: { epoch: 1, commitLsn: Lsn(++this.#lsn), order: 1 }, commitMicros: 1_700_000_000_000_000, xid: this.xid }))
  }
}

/** The records of a partition from one offset up to another, as fetched when its checkpoint stood at the first. */
export const batchOf = ({ changes, partition, topic }: PartitionLog, from: number, to = changes.length): ClaimedBatch => ({
  topic,
  partition,
  fromOffset: BigInt(from),
  nextOffset: BigInt(to),
  changes: changes.slice(from, to),
  unreadable: []
})

/** Rows of a table as its topic has them, read from the table, by key. */
export const readRows = Effect.fnUntraced(function*(sql: Pick<Sql, "query">, table: string, key: string) {
  const name = TableName.parse(table)
  const columns = yield* sql.query<{ name: string; type: string }>(
    "Reading columns",
    `select attname as name, format_type(atttypid, null) as type from pg_attribute
     where attrelid = $1::regclass and attnum > 0 and not attisdropped order by attnum`,
    [TableName.toSql(name)]
  )
  const values = columns.map(({ name, type }) => `'${name}', ${asInTopic(`t."${name}"`, type)}`)
  const rows = yield* sql.query<{ row: Row }>("Reading rows", `select json_build_object(${values.join(", ")}) as row from ${TableName.toSql(name)} t`)
  return rows.map(({ row }) => ({ key: String(row[key]), row }))
})

const asInTopic = (value: string, type: string): string => {
  if (type === "timestamp with time zone") return `to_char(${value} at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')`
  return type === "integer" || type === "boolean" ? value : `${value}::text`
}
