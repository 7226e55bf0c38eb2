import { Effect } from "effect"
import type pg from "pg"
import { Postgres } from "../../src/connections/Postgres.ts"

/** The name of sessions that play the hub: its waits are those of the product that is watched. */
export const hubSession = "hub"

export interface HubWaits {
  /** The longest that a session of the hub was seen to wait for one that is not the hub's (ms); 0: none was. */
  longest: number
  /** The longest that the watch itself was kept from looking (ms): what this machine does to whoever runs on it, us included. */
  blind: number
}

/** Looks a hundred times a second, over a session of its own and until its scope closes, who of the hub waits for one of us. */
export const watchHubWaits = Effect.gen(function*() {
  const client: pg.Client = yield* (yield* Postgres).connect({})
  const waits: HubWaits = { longest: 0, blind: 0 }
  let last = performance.now()
  const look = Effect.promise(async () => {
    const { rows } = await client.query<{ waited: string | null }>(
      `select max(extract(epoch from clock_timestamp() - l.waitstart) * 1000) as waited from pg_locks l join pg_stat_activity a using (pid)
       where not l.granted and a.datname = current_database() and a.application_name = $1
         and exists (select from pg_stat_activity b where b.pid = any(pg_blocking_pids(a.pid)) and b.application_name <> $1)`,
      [hubSession]
    )
    waits.longest = Math.max(waits.longest, Number(rows[0]?.waited ?? 0))
    waits.blind = Math.max(waits.blind, performance.now() - last)
    last = performance.now()
  })
  yield* Effect.forkScoped(Effect.forever(Effect.andThen(look, Effect.sleep("10 millis"))))
  return waits
})
