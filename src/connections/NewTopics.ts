import { Effect, Schedule } from "effect"
import type { ITopicConfig } from "kafkajs"
import { Kafka } from "./Kafka.ts"

/**
 * Creates topics; those that are there stay as they are. Done when the leader of each partition answers: until then the metadata may
 * not know the topic, or names a leader that does not know of its office. Tells whether one was missing. Fails with a KafkaError.
 */
export const createTopics = Effect.fnUntraced(function*(doing: string, topics: ReadonlyArray<ITopicConfig>) {
  const kafka = yield* Kafka
  const created = yield* kafka.admin(doing, (admin) =>
    admin.createTopics({
      waitForLeaders: false, // kafkajs fails where a broker has not heard of the topic yet
      topics: [...topics]
    }))
  const answered = kafka.admin("Waiting for the leaders of new topics", (admin) => Promise.all(topics.map(({ topic }) => admin.fetchTopicOffsets(topic))))
  yield* answered.pipe(Effect.retry({ while: (error) => error.isRetryable, schedule: Schedule.spaced("100 millis"), times: 300 }))
  return created
})
