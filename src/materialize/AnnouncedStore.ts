import { Effect } from "effect"
import type { Sql } from "../connections/Postgres.ts"
import type { PostgresError } from "../connections/PostgresError.ts"
import * as EventMessage from "../domain/EventMessage.ts"
import * as RowKey from "../domain/RowKey.ts"
import * as TableName from "../domain/TableName.ts"
import type { News, Told } from "./Announcing.ts"
import type { Columns, Group, Target } from "./Pipeline.ts"
import type { StateTables } from "./StateTables.ts"

/**
 * What was last told of each key, across generations of state, and the telling itself. A key's group must be locked by the caller until
 * the transaction ends: so its events commit, and are numbered by capture, in the order in which they are made.
 */
export const makeAnnouncedStore = (tables: StateTables, pipeline: string, { announce, target }: Group) => ({
  read: (sql: Sql, keys: ReadonlyArray<string>): Effect.Effect<ReadonlyMap<string, Told>, PostgresError> =>
    Effect.map(
      sql.query<{ key: string; told: string; corrected: boolean }>(
        "Reading what was announced",
        `select key, told, corrected from ${tables.announced} where pipeline = $1 and target = $2 and key = any($3::text[])`,
        [pipeline, TableName.format(target.table), keys]
      ),
      (rows) => new Map(rows.map(({ corrected, key, told }) => [key, { columns: JSON.parse(told) as Columns | null, corrected }]))
    ),

  /** Remembers and tells. The events are written into the WAL as part of the transaction, in the order given. */
  tell: Effect.fnUntraced(function*(sql: Sql, news: ReadonlyArray<News>): Effect.fn.Return<void, PostgresError> {
    if (news.length === 0) return
    const table = TableName.format(target.table)
    const told = news.map(({ told }) => JSON.stringify(told))
    const attributes = news.map(({ change }) => change === undefined ? null : announce!.event(change))
    yield* sql.query(
      "Remembering what is announced",
      `insert into ${tables.announced} as a (pipeline, target, key, told, topic)
         select $1, $2, key, told, case when is_event then $6 end from unnest($3::text[], $4::text[], $5::boolean[]) as n (key, told, is_event)
       on conflict (pipeline, target, key) do update set told = excluded.told, corrected = false, topic = coalesce(excluded.topic, a.topic),
         at = case when excluded.topic is null then a.at else excluded.at end`,
      [pipeline, table, news.map(({ key }) => key), told, attributes.map((attributes) => attributes !== null), announce!.topic]
    )
    const messages = news.flatMap(({ key }, index) =>
      attributes[index] === null ? [] : [EventMessage.encode({
        announced: { pipeline, target: table, key, told: told[index]! },
        topic: announce!.topic,
        key: columnsOf(target, key),
        attributes: attributes[index]!
      })])
    if (messages.length === 0) return
    yield* sql.query(
      "Announcing",
      "select count(pg_logical_emit_message(true, $1::text, m.content)) from (select content from unnest($2::text[]) with ordinality as u(content, n) order by n) m",
      [EventMessage.prefix, messages]
    )
  })
})

/** The key as consumers of the event see it: its columns by name. */
const columnsOf = ({ key: columns }: Target, key: string): Readonly<Record<string, string>> => {
  const names = Object.keys(columns)
  const parts = RowKey.partsOf(key, names.length)!
  return Object.fromEntries(names.map((name, index) => [name, parts[index]!]))
}
