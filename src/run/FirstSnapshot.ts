import { Effect, Exit, Scope } from "effect"
import { CaptureError } from "../capture/CaptureError.ts"
import type { CaptureState } from "../capture/CaptureState.ts"
import * as Slot from "../capture/Slot.ts"
import * as Snapshot from "../capture/Snapshot.ts"
import { AppConfig } from "../Config.ts"
import type { KafkaError } from "../connections/KafkaError.ts"
import { Postgres } from "../connections/Postgres.ts"
import type { PostgresError } from "../connections/PostgresError.ts"
import * as Lsn from "../domain/Lsn.ts"
import type { Relation } from "../domain/RowChange.ts"
import * as TableName from "../domain/TableName.ts"
import type { EncodeError } from "../publish/EncodeError.ts"
import type { Tails } from "../publish/Tails.ts"
import * as SnapshotPublisher from "./SnapshotPublisher.ts"

/**
 * Before the first row is read: takes the snapshot, moves the slot to its consistent point, and remembers that; all under
 * the lock of capture's row, so that of several processes one does it. undefined: another one has.
 * If this process dies in between, nothing has been published and the next one does it all again.
 */
export const begin = Effect.fnUntraced(function*(
  state: CaptureState,
  slot: string,
  tables: ReadonlyArray<TableName.TableName>,
  /** `note`: where a position is remembered before the slot moves there. */
  { epoch, note }: { readonly epoch: number; readonly note: (position: Lsn.Lsn) => Effect.Effect<void, KafkaError> }
): Effect.fn.Return<Snapshot.Snapshot | undefined, CaptureError | KafkaError | PostgresError, AppConfig | Postgres | Scope.Scope> {
  const { snapshot: { readers } } = yield* AppConfig
  const postgres = yield* Postgres
  const scope = yield* Scope.fork(yield* Effect.scope)
  const snapshot = yield* Scope.provide(Snapshot.open(tables, readers), scope)
  const began = yield* postgres.transaction((sql) =>
    Effect.gen(function*() {
      if ((yield* state.lockPhase(sql, epoch)) !== "pending") return false
      yield* note(snapshot.consistentPoint)
      const reached = yield* Slot.advance(sql, slot, snapshot.consistentPoint).pipe(
        Effect.catchIf((error) => error.code === "55006", (error) =>
          Effect.fail(new CaptureError({ reason: "interrupted", message: `${error.message}: somebody reads the slot before its first snapshot` })))
      )
      if (reached !== snapshot.consistentPoint) {
        return yield* new CaptureError({
          reason: "interrupted",
          message: `Replication slot ${slot} stands at ${Lsn.format(reached)}, not at the snapshot's ${Lsn.format(snapshot.consistentPoint)}`
        })
      }
      yield* state.startReading(sql, snapshot.consistentPoint, tables)
      return true
    })
  )
  if (began) return snapshot
  yield* Scope.close(scope, Exit.void) // who waits for the slot must not hold locks, and back the vacuum
  return undefined
})

export interface SnapshotFinish extends Pick<SnapshotPublisher.SnapshotWork, "state" | "epoch" | "encoder" | "writer" | "sends"> {
  readonly tails: Tails
  /** Just taken; undefined: an earlier process began, and a later snapshot continues it. */
  readonly snapshot: Snapshot.Snapshot | undefined
  readonly names: ReadonlyArray<TableName.TableName>
  /** Only while the snapshot's locks are held does a description stay true. */
  readonly describe: Effect.Effect<ReadonlyArray<Relation>, PostgresError>
}

/** Reads what the first snapshot still lacks. The slot is ours by now and stands at the consistent point. */
export const finish = Effect.fnUntraced(function*(
  work: SnapshotFinish
): Effect.fn.Return<void, EncodeError | PostgresError, AppConfig | Postgres | Scope.Scope> {
  const { snapshot: { readers } } = yield* AppConfig
  const sql = yield* Postgres
  const record = yield* work.state.load(sql)
  if (record === undefined || record.snapshot !== "reading") return
  const consistentPoint = record.consistentPoint!
  const before = (yield* work.state.snapshotTables.list(sql)).filter(({ state }) => state === "done")
  const done = new Set(before.map(({ table }) => table))
  const isMissing = (table: TableName.TableName) => !done.has(TableName.format(table))
  const last = work.tails.last
  const isOurs = last !== undefined && last.epoch === work.epoch && last.commitLsn === consistentPoint - 1n
  const snapshot = work.snapshot ?? (yield* Snapshot.open(work.names.filter(isMissing), readers))
  yield* SnapshotPublisher.publish({
    ...work,
    snapshot,
    before,
    relations: (yield* work.describe).filter(isMissing),
    consistentPoint,
    lastOrder: isOurs ? last.order : 0, // behind the fence the tails show whatever an earlier process has sent
    isFirstRecord: !isOurs
  })
  yield* work.state.snapshotDone(sql, work.epoch)
})
