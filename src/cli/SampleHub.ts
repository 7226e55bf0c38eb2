import { Console, Effect, Redacted } from "effect"
import { AppConfig, ConfigurationError } from "../Config.ts"
import { Postgres } from "../connections/Postgres.ts"
import { quoteIdentifier } from "../domain/SqlIdentifier.ts"
import { Activity } from "../embedded/hub/Activity.ts"
import * as Hub from "../embedded/hub/Hub.ts"
import { EmbeddedServers } from "../embedded/Servers.ts"
import type { HubControl } from "../run/HttpApi.ts"

/**
 * Makes the sample hub's tables and rows, and says so. `start` goes on to write made-up changes for as long as it runs,
 * so it must never get hold of a database with somebody's data in it: one that is not our own embedded server's has to
 * be empty, and is marked then.
 */
export const prepare = Effect.fnUntraced(function*(options: { readonly companies: number; readonly seed: number }) {
  const { source } = yield* AppConfig
  const servers = yield* EmbeddedServers
  const isEmbedded = (process.env.DATABASE_URL ?? "") === "" && servers.databaseUrl === Redacted.value(source.databaseUrl)
  if (!isEmbedded) yield* claim(source.stateSchema)
  yield* Hub.createSchema()
  const { rows, wasEmpty } = yield* Hub.seed(options)
  yield* Console.error(wasEmpty ? `Sample hub: ${rows.toLocaleString("en-US")} rows written.` : "Sample hub: has its rows from an earlier start.")
})

/** Marks an empty database as the sample hub's; fails on one that holds tables and no mark. */
const claim = Effect.fnUntraced(function*(stateSchema: string) {
  const postgres = yield* Postgres
  const mark = `${quoteIdentifier(stateSchema)}.sample_hub`
  const [found] = yield* postgres.query<{ marked: boolean; used: boolean }>(
    "Looking for a sample hub",
    `select to_regclass($1) is not null as marked, exists (
       select from pg_class join pg_namespace on pg_namespace.oid = relnamespace
       where relkind in ('r', 'p') and nspname !~ '^pg_' and nspname not in ('information_schema', $2)) as used`,
    [mark, stateSchema]
  )
  if (found?.marked === true) return
  if (found?.used === true) {
    return yield* new ConfigurationError({
      message: "cdc start fills a sample hub and keeps changing it, and this database holds tables that are not the sample's. "
        + "For your own hub: cdc setup && cdc run. For the sample: unset DATABASE_URL, or name an empty database."
    })
  }
  yield* postgres.query("Marking the sample hub", `create schema if not exists ${quoteIdentifier(stateSchema)}`)
  yield* postgres.query("Marking the sample hub", `create table ${mark} (since timestamptz not null default now())`)
})

/** Pausing the activity: by HTTP, from the page, or with SIGUSR1, which goes back and forth. */
export const control = Effect.gen(function*() {
  const activity = yield* Activity
  let paused = false
  const change = (to: boolean) =>
    Effect.suspend(() => {
      paused = to
      return Effect.andThen(to ? activity.pause : activity.resume, Effect.logInfo(to ? "sample hub paused" : "sample hub active again"))
    })
  const hub: HubControl = { isPaused: Effect.sync(() => paused), pause: change(true), resume: change(false) }

  const run = Effect.runForkWith(yield* Effect.context())
  const toggle = () => void run(change(!paused))
  yield* Effect.acquireRelease(
    Effect.sync(() => process.on("SIGUSR1", toggle)),
    () => Effect.sync(() => process.off("SIGUSR1", toggle))
  )
  return hub
})
