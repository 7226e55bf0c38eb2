import { Effect, type Scope } from "effect"
import type { Kafka } from "../connections/Kafka.ts"
import type { KafkaError } from "../connections/KafkaError.ts"
import * as TopicLog from "../connections/TopicLog.ts"

/** What a record makes of its key. `other`: none of ours, or without a key. */
export type Fate = "row" | "gone" | "truncate" | "other"

export interface ScannedRecord {
  readonly partition: number
  readonly offset: bigint
  readonly key: Buffer
  readonly fate: Exclude<Fate, "other">
}

/** A reading of a table's topic from its beginning, on and on (`TopicLog`). */
export interface TopicScan {
  /** How many records there are to read, about. */
  readonly behind: Effect.Effect<bigint, KafkaError>
  /** Up to the present ends, which it asks for once; `see` has each stretch before the next is fetched. */
  readonly toEnd: <E>(see: (records: ReadonlyArray<ScannedRecord>) => Effect.Effect<void, E>) => Effect.Effect<void, E | KafkaError>
}

export const open = Effect.fnUntraced(function*(topic: string): Effect.fn.Return<TopicScan, KafkaError, Kafka | Scope.Scope> {
  const { behind, toEnd } = yield* TopicLog.open(topic, "cdc-scan")
  return { behind, toEnd: (see) => toEnd((records) => see(records.flatMap(scannedOf))) }
})

const scannedOf = ({ key, offset, partition, value }: TopicLog.LogRecord): ReadonlyArray<ScannedRecord> => {
  const fate = key === null ? "other" : fateOf(value)
  return fate === "other" ? [] : [{ partition, offset, key: key!, fate }]
}

/**
 * Our envelopes end in their operation and three clocks, so that the row before them need not be parsed; no text inside of a row can look
 * so, because its quotes are escaped. Anything else is parsed: other connectors write the same fields in other orders.
 */
export const fateOf = (value: Buffer | null): Fate => {
  if (value === null) return "gone"
  const [, op] = envelopeEnd.exec(value.toString("latin1", Math.max(0, value.length - envelopeEndMaxBytes))) ?? []
  return fates[op ?? parsedOperation(value) ?? ""] ?? "other"
}

const envelopeEnd = /"op":"([a-z])","ts_ms":-?\d+,"ts_us":-?\d+,"ts_ns":-?\d+\}$/
const envelopeEndMaxBytes = 128
const fates: Readonly<Record<string, Fate>> = { c: "row", u: "row", r: "row", d: "gone", t: "truncate" }

const parsedOperation = (value: Buffer): string | undefined => {
  try {
    const envelope = JSON.parse(value.toString()) as { readonly op?: unknown } | null
    return typeof envelope?.op === "string" ? envelope.op : undefined
  } catch {
    return undefined
  }
}
