import { Clock, Context, Effect, Layer } from "effect"
import { AppConfig } from "../Config.ts"
import { Kafka } from "../connections/Kafka.ts"
import { Postgres } from "../connections/Postgres.ts"
import type { Lsn } from "../domain/Lsn.ts"
import type { SystemStatus } from "../observability/SystemStatus.ts"
import { pipelineOf } from "../materialize/Generation.ts"
import { coalesced } from "./Coalesced.ts"
import * as SystemMetrics from "./SystemMetrics.ts"
import { type EndOffsets, kafkaQuestions, questions, type ReadFailure, type SystemReading } from "./SystemReading.ts"
import { assemble, idleParts, isWorkedOn, recordsBehind } from "./SystemStatus.ts"

/**
 * How far the whole system is, told from Postgres and Kafka alone: any process gives the same answer, whichever part it
 * runs, also if none runs.
 *
 * `caughtUp` (waits up to 2 s): everything committed before the request came is published and applied. L is WAL's insert
 * position as the request comes; the slot is confirmed only behind what Kafka has acknowledged, so confirmed ≥ L says that all
 * of it is in the topics; and whatever end offsets the topics have after that cover it, so offsets ≥ ends say that it is applied.
 * Beside that the snapshot must be done, no table be read again, and no key wait to be tried again.
 *
 * `settled`: caught up, and no pipeline has written since. What pipelines write are changes, too, and other pipelines
 * may read them. Each aggregate row written counts in `cdc.pipelines.writes`, in its own transaction. The sum is read
 * *before* L is taken, so every write counted in it lies below L, and caught up at L means that it has gone through
 * the topics; the sum is read again once that is so, and if it is still the same, applying all this has made nothing
 * new. With the hub's own writers quiet there is then nothing left that could move.
 */
export class Progress extends Context.Service<Progress, {
  /** Concurrent requests share the work. */
  readonly status: Effect.Effect<SystemStatus, ReadFailure>
  /** Whether everything committed before now got applied within `timeoutMs`. Waits, also for a process that is still starting. */
  readonly waitUntilApplied: (timeoutMs: number) => Effect.Effect<boolean, ReadFailure>
  /** Brings the gauges of lag, slot and snapshot up to date. */
  readonly recordMetrics: Effect.Effect<void, ReadFailure>
}>()("cdc/run/Progress") {
  static readonly layer = Layer.effect(Progress, Effect.gen(function*() {
    const settings = yield* AppConfig
    const postgres = yield* Postgres
    const { pipelines: { enabled, modes }, source } = settings
    // What a pipeline left to be written before it went into shadow mode is nobody's work there.
    const writing = enabled.filter((name) => modes[name] !== "shadow")
    const ask = questions(postgres, source.stateSchema, source.slot)
    const askKafka = kafkaQuestions(yield* Kafka, settings)
    const idleAt = new Map<string, bigint>()

    const sumOfWrites = Effect.map(ask.pipelines, (rows) => rows.reduce((sum, row) => sum + row.writes, 0n))

    const nudge = postgres.query("Flushing the WAL", "select pg_logical_emit_message(true, 'cdc.nudge', '')").pipe(
      Effect.catchIf((error) => error.reason === "forbidden", () => Effect.void) // then we wait for somebody else's commit
    )

    /** Until the slot is confirmed at or beyond `pinned`. */
    const published = Effect.fnUntraced(function*(pinned: Lsn, wait: Wait) {
      let nudgeAt = (yield* Clock.currentTimeMillis) + nudgeAfterMs
      while (true) {
        const { slot } = yield* ask.wal
        if (slot !== undefined && slot.confirmed >= pinned) return true
        const now = yield* Clock.currentTimeMillis
        if (now >= wait.deadline || (!wait.evenIfStopped && slot?.active !== true)) return false
        // On an idle database L may lie beyond what is flushed (a page's header, an asynchronous commit): a commit flushes it.
        if (now >= nudgeAt) {
          yield* nudge
          nudgeAt = Infinity
        }
        yield* Effect.sleep(pollMs)
      }
    })

    /** Until every enabled pipeline stands at the ends that the topics have now, with nothing to be tried again. */
    const applied = Effect.fnUntraced(function*(wait: Wait) {
      let ends: EndOffsets | undefined
      while (true) {
        const [all, pending] = yield* Effect.all([ask.offsets(enabled), ask.pending(writing)])
        const offsets = all.filter(({ pipeline }) => isWorkedOn(pipeline, modes))
        const allStarted = enabled.every((name) => offsets.some(({ pipeline }) => pipelineOf(pipeline) === name))
        if (allStarted) {
          ends ??= yield* askKafka.ends(offsets)
          if (pending.size === 0 && recordsBehind(offsets, ends) === 0) return true
        }
        if ((yield* Clock.currentTimeMillis) >= wait.deadline) return false
        yield* Effect.sleep(pollMs)
      }
    })

    /** The first snapshot, and what is read or swept again: until then a topic may lack rows, or have some that are gone. */
    const snapshotDone = Effect.fnUntraced(function*(wait: Wait) {
      while (true) {
        if ((yield* ask.capture)?.snapshot === "done" && !(yield* ask.isRereading(source.tables))) return true
        if (!wait.evenIfStopped || (yield* Clock.currentTimeMillis) >= wait.deadline) return false
        yield* Effect.sleep(pollMs)
      }
    })

    const reach = Effect.fnUntraced(function*(wait: Wait) {
      const { current } = yield* ask.wal
      if (!(yield* snapshotDone(wait)) || !(yield* published(current, wait))) return { published: false, applied: false }
      return { published: true, applied: yield* applied(wait) }
    })

    const read: Effect.Effect<SystemReading, ReadFailure> = Effect.gen(function*() {
      const [wal, capture, snapshotTables, rereads, gaps, pipelines, offsets, pending] = yield* Effect.all([
        ask.wal, ask.capture, ask.snapshotTables, ask.rereads, ask.gaps, ask.pipelines, ask.offsets(enabled), ask.pending(writing)
      ])
      const letters = yield* ask.letters(pipelines)
      const [ends, members, missingEventTopics] = yield* Effect.all([
        askKafka.ends(offsets), askKafka.members([...enabled, ...new Set(offsets.map(({ pipeline }) => pipeline))]), askKafka.missingEventTopics
      ], { concurrency: 3 })
      return { now: wal.now, wal, capture, snapshotTables, rereads, gaps, missingEventTopics, pipelines, offsets, pending, letters, ends, members }
    })

    const remember = (status: SystemStatus, at: bigint) => {
      for (const part of idleParts(status)) idleAt.set(part, at)
      return status
    }

    const compute = Effect.gen(function*() {
      const deadline = (yield* Clock.currentTimeMillis) + caughtUpWithinMs
      const before = yield* sumOfWrites
      const reached = yield* reach({ deadline, evenIfStopped: false })
      const settled = reached.applied && (yield* sumOfWrites) === before
      const reading = yield* read
      const known = { caughtUp: reached.applied, settled, published: reached.published, idleAt }
      return remember(assemble(reading, known, settings), reading.now)
    })

    return Progress.of({
      status: coalesced(compute, yield* Effect.scope, statusesAtOnce),
      waitUntilApplied: Effect.fnUntraced(function*(timeoutMs: number) {
        const deadline = (yield* Clock.currentTimeMillis) + timeoutMs
        return (yield* reach({ deadline, evenIfStopped: true })).applied
      }),
      recordMetrics: Effect.flatMap(read, (reading) => {
        const status = assemble(reading, { caughtUp: false, settled: false, published: false, idleAt }, settings)
        return SystemMetrics.record(reading, remember(status, reading.now))
      })
    })
  }))
}

interface Wait {
  /** Milliseconds since 1970. */
  readonly deadline: number
  /** false: what nobody works on is not waited for, so that the status of a stopped system comes at once. */
  readonly evenIfStopped: boolean
}

/** What `/status` promises to wait for at the most. */
const caughtUpWithinMs = 2_000
/** Short against what a change needs to go through (tens of ms), and cheap: one or two primary-key reads. */
const pollMs = 25
/** Capture confirms what is flushed well within this; if it has not, L may not be flushed. */
const nudgeAfterMs = 200
/** One that waits for its 2 s, and one for those who came meanwhile. */
const statusesAtOnce = 2
