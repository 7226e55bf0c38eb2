import { type Admin, type Batch, type IHeaders, Kafka, logLevel } from "kafkajs"
import { randomBytes } from "node:crypto"
import type { StoredRecord } from "./Event.ts"

/** Of one topic: the records of each partition, in order. */
export type TopicRecords = ReadonlyArray<ReadonlyArray<StoredRecord>>

/** The cluster as a stock client sees it. */
export interface Topics {
  readonly create: (topics: ReadonlyArray<{ readonly topic: string; readonly numPartitions: number }>) => Promise<void>
  /** Everything up to the ends at the time of the call. */
  readonly read: (topics: ReadonlyArray<string>) => Promise<ReadonlyMap<string, TopicRecords>>
  /** When a record with this key is in each of the topics. */
  readonly holding: (topics: ReadonlyArray<string>, key: string) => Promise<void>
  /** Of everything that begins with one of the prefixes. */
  readonly remove: (prefixes: ReadonlyArray<string>) => Promise<void>
  readonly close: () => Promise<void>
}

export const connect = async (brokers: string): Promise<Topics> => {
  process.env.KAFKAJS_NO_PARTITIONER_WARNING = "1"
  const kafka = new Kafka({ clientId: "compare", brokers: brokers.split(","), logLevel: logLevel.NOTHING })
  const admin = kafka.admin()
  await admin.connect()
  return {
    create: async (topics) => void await admin.createTopics({ topics: [...topics], waitForLeaders: true }),
    read: (topics) => read(kafka, admin, topics),
    holding: (topics, key) => holding(kafka, topics, key),
    remove: async (prefixes) => {
      const topics = (await admin.listTopics()).filter((topic) => prefixes.some((prefix) => topic.startsWith(`${prefix}.`)))
      if (topics.length > 0) await admin.deleteTopics({ topics })
    },
    close: () => admin.disconnect()
  }
}

const read = async (kafka: Kafka, admin: Admin, topics: ReadonlyArray<string>): Promise<ReadonlyMap<string, TopicRecords>> => {
  const records = new Map<string, Array<Array<StoredRecord>>>()
  const ends = new Map<string, bigint>()
  for (const topic of topics) {
    const partitions = await admin.fetchTopicOffsets(topic)
    records.set(topic, partitions.map(() => []))
    for (const { high, low, partition } of partitions) if (BigInt(high) > BigInt(low)) ends.set(`${topic}/${partition}`, BigInt(high))
  }
  if (ends.size === 0) return records
  await consume(kafka, topics, {
    take: ({ messages, partition, topic }) => {
      const read = records.get(topic)![partition]!
      for (const { headers, key, value } of messages) read.push({ key, value, headers: asText(headers) })
    },
    isDone: (topic, partition, lastOffset) => {
      const name = `${topic}/${partition}`
      if (lastOffset + 1n >= (ends.get(name) ?? 0n)) ends.delete(name)
      return ends.size === 0
    }
  })
  return records
}

const holding = async (kafka: Kafka, topics: ReadonlyArray<string>, key: string): Promise<void> => {
  const missing = new Set(topics)
  await consume(kafka, topics, {
    take: ({ messages, topic }) => {
      if (messages.some((message) => message.key?.toString() === key)) missing.delete(topic)
    },
    isDone: () => missing.size === 0
  })
}

/** Takes what the topics hold, from the beginning, and what comes, until it is done. */
const consume = async (
  kafka: Kafka,
  topics: ReadonlyArray<string>,
  { isDone, take }: {
    readonly take: (batch: Batch) => void
    /** Asked after every batch, also after one that holds nothing but control records, which is never taken. */
    readonly isDone: (topic: string, partition: number, lastOffset: bigint) => boolean
  }
): Promise<void> => {
  const consumer = kafka.consumer({ groupId: `compare.${randomBytes(6).toString("hex")}`, maxWaitTimeInMs: 50 })
  const done = Promise.withResolvers<void>()
  consumer.on("consumer.end_batch_process", ({ payload: { lastOffset, partition, topic } }) => isDone(topic, partition, BigInt(lastOffset)) ? done.resolve() : undefined)
  consumer.on("consumer.crash", ({ payload: { error, restart } }) => restart ? undefined : done.reject(error))
  try {
    await consumer.connect()
    await consumer.subscribe({ topics: [...topics], fromBeginning: true })
    await consumer.run({ autoCommit: false, eachBatch: async ({ batch }) => take(batch) })
    await done.promise
  } finally {
    await consumer.disconnect()
  }
}

/** A header that comes more than once keeps every value. */
const asText = (headers: IHeaders | undefined): StoredRecord["headers"] =>
  Object.entries(headers ?? {}).map(([name, value]) => [name, Array.isArray(value) ? value.map(String).join("\n") : String(value)] as const)
