import { assert } from "@effect/vitest"
import type { ReadRecord } from "../support/TestTopics.ts"
import { disorder, type Envelope, envelope } from "./CaptureFixture.ts"

/** What a record says of its row, for comparing. */
export interface Image {
  readonly key: string | null
  readonly op: string
  readonly before?: Envelope["before"]
  readonly after?: Envelope["after"]
  readonly order?: readonly [total: number, ofTable: number]
  readonly newKey?: string
  readonly oldKey?: string
}

const imageOf = (record: ReadRecord): Image => {
  const { "__debezium.newkey": newKey, "__debezium.oldkey": oldKey } = record.headers
  const moved = newKey !== undefined ? { newKey } : oldKey !== undefined ? { oldKey } : {}
  const key = record.key === null ? null : record.key.toString()
  if (record.value === null) return { key, op: "tombstone", ...moved }
  const { after, before, op, transaction } = envelope(record)
  return { key, op, before, after, order: [transaction.total_order, transaction.data_collection_order], ...moved }
}

/** In the order of positions; a tombstone behind its delete. Without the reads of the snapshot. */
export const streamed = (records: ReadonlyArray<ReadRecord>) => {
  assert.deepStrictEqual(disorder(records), [])
  return records.map(imageOf).filter(({ op }) => op !== "r")
}
