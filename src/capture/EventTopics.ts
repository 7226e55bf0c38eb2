import { Effect } from "effect"
import type { Sql } from "../connections/Postgres.ts"
import * as Lsn from "../domain/Lsn.ts"
import { quoteIdentifier } from "../domain/SqlIdentifier.ts"
import type { TopicIdentity } from "../domain/TopicIdentity.ts"

/** What capture remembers of a topic of events, to compare with what it finds. */
export interface EventTopic {
  readonly identity: TopicIdentity
  /** In which it was last asked what was really told. */
  readonly epoch: number
  /** Events that commit below this are not published: what they were to tell is announced again. */
  readonly from: Lsn.Lsn
}

/** The table `event_topics` of the state schema. Every function runs on the given connection or transaction. */
export const make = (stateSchema: string, slot: string) => {
  const table = `${quoteIdentifier(stateSchema)}.event_topics`

  const createTable = (sql: Sql) =>
    sql.query("Creating the list of event topics", `
      create table if not exists ${table} (
        slot text not null, topic text not null, topic_id text not null, ends bigint[] not null, epoch int not null, from_lsn pg_lsn not null,
        primary key (slot, topic))`)

  /** By name. */
  const load = (sql: Sql) =>
    Effect.map(
      sql.query<{ topic: string; topic_id: string; ends: ReadonlyArray<string>; epoch: number; from_lsn: string }>("Reading what is remembered of the event topics",
        `select topic, topic_id, ends::text[] as ends, epoch, from_lsn::text as from_lsn from ${table} where slot = $1`, [slot]),
      (rows) => new Map(rows.map((row): [string, EventTopic] => [row.topic, {
        identity: { id: row.topic_id, ends: row.ends.map(BigInt) }, epoch: row.epoch, from: Lsn.parse(row.from_lsn)
      }]))
    )

  /** From now on the topic is `now`. false: it is not remembered as `before` any more, because another process has come between. */
  const remember = (sql: Sql, topic: string, before: EventTopic | undefined, now: EventTopic) =>
    Effect.map(
      sql.query("Remembering an event topic", `
        insert into ${table} as t (slot, topic, topic_id, ends, epoch, from_lsn)
        values ($1, $2, $3, $4::text[]::bigint[], $5, $6::pg_lsn)
        on conflict (slot, topic) do update set topic_id = excluded.topic_id, ends = excluded.ends, epoch = excluded.epoch, from_lsn = excluded.from_lsn
          where (t.epoch, t.from_lsn) = ($7::int, $8::pg_lsn)
        returning 1`,
        [slot, topic, now.identity.id, now.identity.ends.map(String), now.epoch, Lsn.format(now.from),
          before?.epoch ?? null, before === undefined ? null : Lsn.format(before.from)]),
      (rows) => rows.length > 0
    )

  /** Where these topics are known to have reached. */
  const noteEnds = (sql: Sql, ends: ReadonlyMap<string, ReadonlyArray<bigint>>) =>
    sql.query("Remembering the event topics' ends", `
      update ${table} t set ends = n.ends::bigint[] from unnest($2::text[], $3::text[]) as n (topic, ends) where t.slot = $1 and t.topic = n.topic`,
      [slot, [...ends.keys()], [...ends.values()].map((offsets) => `{${offsets.join(",")}}`)])

  return { createTable, load, remember, noteEnds }
}

export type EventTopics = ReturnType<typeof make>
