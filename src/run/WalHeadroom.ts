import { Duration, Effect } from "effect"
import { AppConfig } from "../Config.ts"
import { Postgres, type Sql } from "../connections/Postgres.ts"
import type { PostgresError } from "../connections/PostgresError.ts"
import { PipelineObserver } from "./PipelineObserver.ts"

/** How much WAL the server keeps for a slot, and how much may still be written before it drops the slot. In bytes. */
export interface WalHeadroom {
  readonly kept: bigint
  readonly left: bigint
}

/** undefined: the server keeps WAL without limit, or the slot has nothing to lose any more. */
export const read = Effect.fnUntraced(function*(sql: Sql, slot: string): Effect.fn.Return<WalHeadroom | undefined, PostgresError> {
  const [row] = yield* sql.query<{ kept: bigint; left: bigint | null }>("Reading how much WAL the slot may still keep", `
    select safe_wal_size::int8 as left, pg_size_bytes(current_setting('max_slot_wal_keep_size'))::int8 as kept
    from pg_replication_slots where slot_name = $1 and current_setting('max_slot_wal_keep_size') <> '-1'`, [slot])
  return row === undefined || row.left === null ? undefined : { kept: row.kept, left: row.left }
})

/** More than half is used up: what can wait must not write more (hard part 14). */
export const isScarce = (headroom: WalHeadroom | undefined): boolean => headroom !== undefined && headroom.left * 2n < headroom.kept

/** Between two looks, which a pipeline's timers would else take each second. */
const lookEveryMillis = 5_000

/**
 * Pipelines write into the database that they are fed from. What time alone makes them write can wait while capture is behind: each
 * pass through the gate waits until there is headroom. `paused` is told when it begins to wait, `resumed` when it goes on.
 */
export const makeGate = Effect.fnUntraced(function*<E>(
  look: Effect.Effect<WalHeadroom | undefined, E>,
  told: { readonly paused: Effect.Effect<void>; readonly resumed: Effect.Effect<void> }
): Effect.fn.Return<Effect.Effect<void, E>> {
  const headroom = yield* Effect.cachedWithTTL(look, Duration.millis(lookEveryMillis))
  return Effect.gen(function*() {
    if (!isScarce(yield* headroom)) return
    yield* told.paused
    do yield* Effect.sleep(Duration.millis(lookEveryMillis))
    while (isScarce(yield* look))
    yield* told.resumed
  })
})

/** The gate for what of a pipeline can wait; who watches the pipeline, and the log, are told that it does. */
export const makePipelineGate = Effect.fnUntraced(function*(name: string, does: { readonly waits: string; readonly goesOn: string }) {
  const { source } = yield* AppConfig
  const observer = yield* PipelineObserver
  const remark = `${does.waits}: capture is behind, and slot ${source.slot} has less than half of max_slot_wal_keep_size left`
  return yield* makeGate(read(yield* Postgres, source.slot), {
    paused: Effect.andThen(Effect.sync(() => observer.state(name, "running", remark)), Effect.logWarning(remark)),
    resumed: Effect.andThen(Effect.sync(() => observer.state(name, "running")), Effect.logInfo(does.goesOn))
  })
})
