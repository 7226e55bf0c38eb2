import { Cause, Effect, Exit } from "effect"
import fc from "fast-check"
import { readFileSync } from "node:fs"
import { expect, it } from "vitest"
import { CaptureError } from "../../src/capture/CaptureError.ts"
import type { Catalogue } from "../../src/capture/Catalogue.ts"
import { ChangeReader } from "../../src/capture/ChangeReader.ts"
import { decode } from "../../src/capture/PgOutput.ts"
import type { Relation } from "../../src/domain/RowChange.ts"
import * as ColumnPolicy from "../../src/publish/ColumnPolicy.ts"
import { EncodeError } from "../../src/publish/EncodeError.ts"
import { makeRecordEncoder } from "../../src/publish/RecordEncoder.ts"
import { defaultTypes } from "../publish/DefaultTypes.ts"

const golden = ["15", "18"].flatMap((major) => {
  const file = new URL(`../fixtures/pgoutput/${major}.json`, import.meta.url)
  return (JSON.parse(readFileSync(file, "utf8")) as { frames: ReadonlyArray<string> }).frames.map((frame) => decode(Buffer.from(frame, "base64")))
})

/** The identity is the key; every type is text. */
const catalogue: Catalogue = {
  resolve: (message) => Effect.succeed<Relation>({
    ...message,
    sendsOldKey: true,
    columns: message.columns.map(({ name, typeOid }) => ({ name, typeOid, type: { name: "unknown", kind: "unknown", modifier: -1 } })),
    key: message.columns.flatMap((column, index) => (column.partOfIdentity ? [index] : []))
  }),
  announce: () => Effect.undefined
}

const encoderOptions = {
  topicPrefix: "hub", database: "d", connectorVersion: "0", epoch: 1, partitionsOf: () => 2, compacted: (topic: string) => !topic.endsWith(".nothing"), maxRecordBytesOf: () => 1_000_000,
  tombstones: true, truncates: true, types: defaultTypes, columns: ColumnPolicy.none
}

it("messages of real servers in any order become records, or an error that says what is wrong", () => {
  const outcomes = { records: 0, refused: 0 }
  // Most streams lose a message that another needs: a few are as they came but for one, or are cut short, so that records come of them.
  const anyStream = fc.oneof(
    fc.shuffledSubarray(golden),
    fc.subarray(golden),
    fc.nat(golden.length - 1).map((without) => golden.toSpliced(without, 1)),
    fc.nat(golden.length).map((end) => golden.slice(0, end))
  )
  fc.assert(fc.property(anyStream, (stream) => {
    const exit = Effect.runSyncExit(new ChangeReader(catalogue, () => true).read(stream))
    if (Exit.isFailure(exit)) {
      expect(Cause.squash(exit.cause)).toBeInstanceOf(CaptureError)
      outcomes.refused++
      return
    }
    const encoder = makeRecordEncoder(encoderOptions)
    for (const change of exit.value.changes) {
      try {
        encoder.encode(change, 0n, [])
        outcomes.records++
      } catch (error) {
        expect(error).toBeInstanceOf(EncodeError)
      }
    }
  }), { numRuns: 300 })
  expect(outcomes.records).toBeGreaterThan(0)
  expect(outcomes.refused).toBeGreaterThan(0)
})

it("the messages of each server, as they came, all become records", () => {
  const { changes } = Effect.runSync(new ChangeReader(catalogue, () => true).read(golden))
  const encoder = makeRecordEncoder(encoderOptions)
  const records: Array<{ readonly topic: string }> = []
  for (const change of changes) encoder.encode(change, 0n, records as never)
  expect(new Set(records.map(({ topic }) => topic)).size).toBe(9)
})
