import { Effect } from "effect"
import { Kafka } from "../connections/Kafka.ts"
import { fromCause, type KafkaError } from "../connections/KafkaError.ts"
import * as TopicLog from "../connections/TopicLog.ts"
import type { TopicIdentity } from "../domain/TopicIdentity.ts"

/** Where a batch was written, as the broker answers. */
export interface Acknowledgement {
  readonly topic: string
  readonly partition: number
  /** Of the batch's first record. */
  readonly offset: bigint
}

/** Those of `topics` that exist, by name. */
export const read = (topics: ReadonlyArray<string>): Effect.Effect<ReadonlyMap<string, TopicIdentity>, KafkaError, Kafka> =>
  Effect.scoped(Effect.gen(function*() {
    const kafka = yield* Kafka
    // The reader's own question for the metadata fails as a whole if one of the topics is missing.
    const names = new Set(yield* kafka.admin("Looking at the topics", (admin) => admin.listTopics()))
    const present = topics.filter((topic) => names.has(topic))
    if (present.length === 0) return new Map<string, TopicIdentity>()
    const reader = yield* kafka.reader("cdc-watch")
    return yield* Effect.tryPromise({
      try: async () => {
        const metadata = await reader.metadata({ topics: [...present], forceUpdate: true })
        const ends = await TopicLog.offsets(reader, present, "latest")
        return new Map(present.map((topic): [string, TopicIdentity] => [topic, { id: metadata.topics.get(topic)!.id, ends: ends.get(topic)! }]))
      },
      catch: (cause) => fromCause("Looking at the topics", cause)
    })
  }))
