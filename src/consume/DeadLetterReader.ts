import { Effect, Schedule, type Scope } from "effect"
import { Kafka } from "../connections/Kafka.ts"
import { fromCause, KafkaError } from "../connections/KafkaError.ts"
import { deadLetter } from "../domain/Headers.ts"
import type { RawRecord } from "../domain/SourceChange.ts"

/** A dead letter as its topic has it: the record with its origin's place, and whether its value was too large to be repeated. */
export interface StoredLetter {
  readonly record: RawRecord
  readonly lacksValue: boolean
}

/** Of one fetch; what bounds the memory. */
const fetchMaxBytes = 8_388_608
const readUncommitted = 0
const earliest = -2n
const latest = -1n
const controlBit = 0x20
/** For a leader that moves: seconds. */
const patience = { while: (error: KafkaError) => error.isRetryable, schedule: Schedule.spaced("200 millis"), times: 25 }

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
  const reader = yield* kafka.reader("cdc-dead-letters")
  const attempt = <A>(ask: () => Promise<A>): Effect.Effect<A, KafkaError> =>
    Effect.tryPromise({ try: ask, catch: (cause) => cause instanceof KafkaError ? cause : fromCause(`Reading topic ${topic}`, cause) })
  const offset = (timestamp: bigint) =>
    attempt(async () => (await reader.listOffsets({ topics: [topic], timestamp, isolationLevel: readUncommitted })).get(topic)![0]!)
  const end = yield* offset(latest)
  for (let next = yield* offset(earliest); next < end;) {
    const fetched = yield* attempt(async () => {
      const { id: topicId, partitions } = (await reader.metadata({ topics: [topic], metadataMaxAge: 5_000 })).topics.get(topic)!
      const answer = await reader.fetch({
        node: partitions[0]!.leader,
        minBytes: 1,
        maxBytes: fetchMaxBytes,
        maxWaitTime: 50,
        isolationLevel: readUncommitted,
        topics: [{
          topicId,
          partitions: [{ partition: 0, fetchOffset: next, currentLeaderEpoch: -1, lastFetchedEpoch: -1, partitionMaxBytes: fetchMaxBytes }]
        }]
      })
      const letters: Array<StoredLetter> = []
      let reached = next
      for (const batch of answer.responses.flatMap(({ partitions }) => partitions).flatMap(({ records }) => records ?? [])) {
        reached = batch.firstOffset + BigInt(batch.lastOffsetDelta) + 1n
        if ((batch.attributes & controlBit) !== 0) continue
        for (const { headers, key, offsetDelta, value } of batch.records) {
          if (batch.firstOffset + BigInt(offsetDelta) < next) continue // a batch is given whole
          const letter = letterOf(key, value, headers)
          if (letter !== undefined) letters.push(letter)
        }
      }
      if (reached === next) throw new KafkaError({ reason: "unreachable", message: `Reading topic ${topic}: the broker gave nothing of what it has` })
      return { letters, reached }
    }).pipe(Effect.retry(patience))
    yield* see(fetched.letters)
    next = fetched.reached
  }
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
