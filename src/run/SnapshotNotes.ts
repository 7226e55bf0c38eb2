import { Clock, Duration, Effect } from "effect"
import type { CaptureState } from "../capture/CaptureState.ts"
import { Postgres } from "../connections/Postgres.ts"
import type { PostgresError } from "../connections/PostgresError.ts"
import type { SnapshotProgress } from "./SnapshotProgress.ts"
import { describe } from "./SnapshotStatus.ts"

/** Often enough for a person who looks at the status, and for a restart to read little again; nothing for Postgres. */
const noteEvery = Duration.seconds(1)

/** In the log: a sign of life, not a screenful. */
const notesPerLine = 5

/**
 * Does `work` and notes in Postgres how far it is, where every process's `/status` and a later process find it; and says so in the
 * log. The tables are listed before, and complete after; in between, a note that fails is made good by the next.
 */
export const during = <E, R>(
  state: CaptureState,
  epoch: number,
  progress: SnapshotProgress,
  work: Effect.Effect<void, E, R>
): Effect.Effect<void, E | PostgresError, R | Postgres> =>
  Effect.gen(function*() {
    const sql = yield* Postgres
    const started = yield* Clock.currentTimeMillis
    const note = Effect.gen(function*() {
      const { rowsPerSecond, tables } = progress.toNote(yield* Clock.currentTimeMillis)
      yield* state.snapshotTables.note(sql, epoch, tables, rowsPerSecond).pipe(Effect.onError(() => Effect.sync(() => progress.notNoted())))
    })
    const tryNote = Effect.catch(note, (error) => Effect.logDebug(`progress not noted: ${error.message}`))
    const tell = Effect.flatMap(Clock.currentTimeMillis, (now) => Effect.logInfo(`snapshot: ${describe(progress.status(now))}`))
    const keepNoting = Effect.forever(Effect.gen(function*() {
      for (let notes = 0; notes < notesPerLine; notes++) {
        yield* Effect.sleep(noteEvery)
        yield* tryNote
      }
      yield* tell
    }))
    yield* note
    yield* Effect.raceFirst(work, keepNoting).pipe(Effect.onError(() => Effect.timeoutOption(tryNote, noteEvery)))
    yield* note
    const { rows, tables } = progress.status(started)
    const seconds = ((yield* Clock.currentTimeMillis) - started) / 1_000
    yield* Effect.logInfo(`snapshot: done, ${rows.toLocaleString("en-US")} rows of ${tables.length} tables, in ${seconds.toFixed(1)} s`)
  })
