import type { Position } from "./Position.ts"

/** One Kafka record, ready to send: bytes built once, its partition chosen. */
export interface OutgoingRecord {
  readonly topic: string
  readonly partition: number
  readonly key: Buffer | null
  /** null: a tombstone. */
  readonly value: Buffer | null
  /** Only where the wire format has some (key changes, tombstones): they cost a client half its speed. */
  readonly headers: ReadonlyArray<readonly [name: string, value: string]> | undefined
  /** A tombstone has its delete's. */
  readonly position: Position
}
