import { Effect, Layer } from "effect"
import { AppConfig } from "../Config.ts"
import { remakeEvents } from "../domain/Remedy.ts"
import { Health } from "../observability/Health.ts"
import { CaptureObserver, metrics } from "./CaptureObserver.ts"

/** The check of capture in `/readyz`. */
export const captureCheck = "capture"

/** Whether the topics have all of the captured tables; a failing one names each table and the remedy. */
const tablesCheck = "captured tables"

/** Whether events have topics to go to. */
const eventsCheck = "event topics"

/** What capture tells becomes a check and metrics. */
export const layer = Layer.effect(CaptureObserver, Effect.gen(function*() {
  const health = yield* Health
  const { source } = yield* AppConfig
  const counts = metrics(source.slot)
  return {
    ...counts,
    running: () => health.ok(captureCheck),
    standingBy: () => health.ok(captureCheck, "standing by: another process has the slot"), // or a rolling update waits for it for ever
    gaps: (gaps) =>
      gaps.length === 0
        ? health.ok(tablesCheck)
        : health.failing(tablesCheck, gaps.map(({ remedy, table, why }) => `${table}: ${why} (remedy: ${remedy})`).join("; ")),
    eventGaps: (topics) =>
      topics.length === 0
        ? health.ok(eventsCheck)
        : health.failing(eventsCheck, `${topics.join(", ")}: deleted, and events have nowhere to go (remedy: ${remakeEvents})`),
    retrying: (error) => {
      health.failing(captureCheck, error.message)
      counts.retrying(error)
    }
  } satisfies CaptureObserver
}))
