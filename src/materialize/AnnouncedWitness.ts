import { Effect } from "effect"
import type { Sql } from "../connections/Postgres.ts"
import type { PostgresError } from "../connections/PostgresError.ts"
import type { Announced } from "../domain/EventMessage.ts"
import * as Lsn from "../domain/Lsn.ts"
import { stateTables } from "./StateTables.ts"

/** What the last event of a row has told, as its topic has it. */
export interface PublishedEvent extends Announced {
  /** When it was published, ms since 1970. */
  readonly millis: number
}

/** What the topic says, all of it. */
export interface Testimony {
  /** `EventMessage.topic`. */
  readonly topic: string
  /** One per row. */
  readonly last: ReadonlyArray<PublishedEvent>
  /** The topic has every event that it was given in so many ms until now. */
  readonly reachesBackMillis: number
}

export interface Correction {
  /** Rows of which something else is remembered as told from now on. */
  readonly rows: number
  /** What commits below this was made of what was remembered before; what commits above is made of what is remembered now. */
  readonly lsn: Lsn.Lsn
}

/**
 * Makes what is remembered as told be what the topic has, in the caller's transaction, while nothing is written to the topic: events that
 * were on their way there are left behind. Rows of which something else was remembered become pending: looked at again, they are
 * announced from what the topic says to what they are. A row that the topic does not know stays as it is where its event may have been
 * there and be too old by now; where it is too young for that, nobody was told.
 *
 * Whoever announces reads what was told first, and so waits until this is committed; who has read it before is waited for.
 */
export const correct = Effect.fnUntraced(function*(
  sql: Sql,
  stateSchema: string,
  { last, reachesBackMillis, topic }: Testimony
): Effect.fn.Return<Correction, PostgresError> {
  const { announced, pending } = stateTables(stateSchema, "", 1)
  yield* sql.query("Waiting for announcements under way", `lock table ${announced} in access exclusive mode`)
  yield* sql.query("Making room for what the topic says", `
    create temporary table witnessed (pipeline text, target text, key text collate "C", told text, at timestamptz, primary key (pipeline, target, key)) on commit drop`)
  for (let start = 0; start < last.length; start += pageSize) {
    const page = last.slice(start, start + pageSize)
    yield* sql.query("Noting what the topic says", `
      insert into witnessed select p, t, k, told, timestamptz 'epoch' + ms * interval '1 millisecond'
      from unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::bigint[]) as n (p, t, k, told, ms)`,
      [page.map(({ pipeline }) => pipeline), page.map(({ target }) => target), page.map(({ key }) => key), page.map(({ told }) => told),
        page.map(({ millis }) => millis)])
  }
  const rows = yield* sql.query("Correcting what is remembered as announced", `
    with known as (
      insert into ${announced} as a (pipeline, target, key, told, at, topic, corrected) select w.*, $1, true from witnessed w
      on conflict (pipeline, target, key) do update set told = excluded.told, at = excluded.at, topic = excluded.topic, corrected = true
        where a.told <> excluded.told returning pipeline, target, key),
    unheard as (
      update ${announced} a set told = 'null', corrected = true
      where a.topic = $1 and a.told <> 'null' and a.at > now() - $2::bigint * interval '1 millisecond'
        and not exists (select from witnessed w where (w.pipeline, w.target, w.key) = (a.pipeline, a.target, a.key))
      returning pipeline, target, key),
    again as (
      insert into ${pending} (pipeline, target, key) select * from known union all select * from unheard on conflict do nothing)
    select 1 from known union all select 1 from unheard`,
    [topic, Math.min(reachesBackMillis, forever)])
  const [end] = yield* sql.query<{ lsn: string }>("Asking where the WAL is", "select pg_current_wal_insert_lsn()::text as lsn")
  return { rows: rows.length, lsn: Lsn.parse(end!.lsn) }
})

const pageSize = 10_000

/** Of a topic that forgets nothing: a thousand years. */
const forever = 1_000 * 365 * 86_400_000
