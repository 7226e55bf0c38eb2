import { Effect, type Scope } from "effect"
import { Kafka } from "../connections/Kafka.ts"
import type { KafkaError } from "../connections/KafkaError.ts"
import * as TopicLog from "../connections/TopicLog.ts"
import { deadLetter } from "../domain/Headers.ts"
import type { RawRecord } from "../domain/SourceChange.ts"

/** A dead letter as its topic has it: the record with its origin's place, and whether its value was too large to be repeated. */
export interface StoredLetter {
  readonly record: RawRecord
  readonly lacksValue: boolean
}

/**
 * Reads a topic of dead letters from its first record to its present end; `see` has each fetch before the next is made. A letter may
 * come twice. A topic that is not there has no letters. Joins no group.
 */
export const readDeadLetters = Effect.fnUntraced(function*<E, R>(
  topic: string,
  see: (letters: ReadonlyArray<StoredLetter>) => Effect.Effect<void, E, R>
): Effect.fn.Return<void, E | KafkaError, Kafka | Scope.Scope | R> {
  const kafka = yield* Kafka
  const isThere = yield* kafka.admin("Listing topics", async (admin) => (await admin.listTopics()).includes(topic))
  if (!isThere) return
  const log = yield* TopicLog.open(topic, "cdc-dead-letters")
  yield* log.toEnd((records) =>
    see(records.flatMap(({ headers, key, value }) => letterOf(key, value, headers) ?? [])))
})

/** undefined: written by nobody of ours. */
export const letterOf = (key: Buffer | null, value: Buffer | null, headers: Iterable<readonly [Buffer | null, Buffer | null]>): StoredLetter | undefined => {
  const all = [...headers].flatMap(([name, value]) => name === null || value === null ? [] : [[name.toString(), value] as const])
  const ours = new Map(all)
  const topic = ours.get(deadLetter.topic)?.toString()
  const partition = ours.get(deadLetter.partition)?.toString() ?? ""
  const offset = ours.get(deadLetter.offset)?.toString() ?? ""
  if (topic === undefined || !/^\d{1,9}$/.test(partition) || !/^\d{1,19}$/.test(offset)) return undefined
  const added = new Set<string>(Object.values(deadLetter))
  return {
    record: { topic, partition: Number(partition), offset: BigInt(offset), key, value, headers: all.filter(([name]) => !added.has(name)) },
    lacksValue: ours.has(deadLetter.droppedValueBytes)
  }
}
