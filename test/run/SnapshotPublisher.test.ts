import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Fiber } from "effect"
import type { CaptureState } from "../../src/capture/CaptureState.ts"
import type { Chunk } from "../../src/capture/Snapshot.ts"
import type { TablePlan } from "../../src/capture/SnapshotPlan.ts"
import { AppConfig } from "../../src/Config.ts"
import type { KafkaError } from "../../src/connections/KafkaError.ts"
import { Postgres } from "../../src/connections/Postgres.ts"
import { PostgresError } from "../../src/connections/PostgresError.ts"
import { Lsn } from "../../src/domain/Lsn.ts"
import type { OutgoingRecord } from "../../src/domain/OutgoingRecord.ts"
import type { Relation } from "../../src/domain/RowChange.ts"
import type { RecordEncoder } from "../../src/publish/RecordEncoder.ts"
import * as SendAhead from "../../src/run/SendAhead.ts"
import * as SnapshotPublisher from "../../src/run/SnapshotPublisher.ts"

const batchBytes = 100_000
const rowBytes = 40_000
const readerCount = 3

const relation: Relation = { oid: 1, schema: "s", table: "wide", replicaIdentity: "d", sendsOldKey: true, columns: [], key: [] }

const settings = { snapshot: { pieceBytes: 1 }, publish: { batchBytes } } as unknown as AppConfig["Service"]
const state = { snapshotTables: { note: () => Effect.void } } as unknown as CaptureState
const encoder = { encode: (_: unknown, __: bigint, into: Array<OutgoingRecord>) => void into.push({} as OutgoingRecord), cutMemory: () => () => {} } as unknown as RecordEncoder

/** A table without end, and a Kafka that takes so many sends and then no more. */
const publish = Effect.fnUntraced(function*(sendsTaken: number, readRow: Effect.Effect<Chunk, PostgresError>) {
  const stuck = yield* Deferred.make<void>()
  const sends = yield* SendAhead.make<KafkaError>()
  let taken = 0
  const plan: TablePlan = { relation, bytes: 1, estimatedRows: undefined, pieces: Array.from({ length: 10 }, () => ({ relation, statement: "", bytes: 1 })) }
  const fiber = yield* Effect.forkScoped(SnapshotPublisher.publish({
    snapshot: {
      consistentPoint: Lsn(10n), takenMicros: 0n, plan: () => Effect.succeed([plan]),
      readers: Array.from({ length: readerCount }, () => ({ read: () => Effect.succeed(readRow) }))
    },
    relations: [relation], before: [], consistentPoint: Lsn(10n), lastOrder: 0, isFirstRecord: true, epoch: 1, state, encoder, sends,
    writer: { write: () => Effect.suspend(() => taken++ < sendsTaken ? Effect.void : Effect.andThen(Deferred.succeed(stuck, undefined), Effect.never)) }
  }).pipe(Effect.provideService(AppConfig, settings), Effect.provideService(Postgres, {} as unknown as Postgres["Service"])))
  return { fiber, stuck: Effect.raceFirst(Deferred.await(stuck), Fiber.join(fiber)) }
})

describe("the publisher of a snapshot", () => {
  it.effect("holds few bytes, however wide the rows and however long Kafka takes none: its readers wait", () =>
    Effect.scoped(Effect.gen(function*() {
      let readBytes = 0
      const readRow = Effect.sync((): Chunk => {
        readBytes += rowBytes
        return { rows: [["x"]], bytes: rowBytes }
      })
      for (const sendsTaken of [0, 5]) {
        readBytes = 0
        const { fiber, stuck } = yield* publish(sendsTaken, readRow)
        yield* stuck
        for (let turn = 0; turn < 1_000; turn++) yield* Effect.yieldNow // all that can go on has
        const sendBytes = batchBytes * 2 + rowBytes
        const chunks = readerCount * (2 + 1) + 1 // in the queue, in each reader's hand, in the publisher's
        assert.isAtMost(readBytes, (sendsTaken + 2) * sendBytes + chunks * rowBytes)
        yield* Fiber.interrupt(fiber)
      }
    })))

  it.effect("fails with the first reader that does", () =>
    Effect.scoped(Effect.gen(function*() {
      let reads = 0
      const lost = new PostgresError({ reason: "unreachable", code: "57P01", message: "terminated" })
      const { fiber } = yield* publish(Infinity, Effect.suspend(() => ++reads > 50 ? Effect.fail(lost) : Effect.succeed<Chunk>({ rows: [["x"]], bytes: 1 })))
      assert.strictEqual(yield* Effect.flip(Fiber.join(fiber)), lost)
    })))
})
