import { type Admin, type IHeaders, Kafka, logLevel } from "kafkajs"
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
  const unread = new Set(ends.keys())
  const consumer = kafka.consumer({ groupId: `compare.${randomBytes(6).toString("hex")}`, maxWaitTimeInMs: 50 })
  const done = Promise.withResolvers<void>()
  // Also told of batches that hold nothing but control records, which `eachBatch` never sees.
  consumer.on("consumer.end_batch_process", ({ payload: { lastOffset, partition, topic } }) => {
    const name = `${topic}/${partition}`
    if (BigInt(lastOffset) + 1n >= (ends.get(name) ?? 0n)) unread.delete(name)
    if (unread.size === 0) done.resolve()
  })
  consumer.on("consumer.crash", ({ payload: { error, restart } }) => restart ? undefined : done.reject(error))
  try {
    await consumer.connect()
    await consumer.subscribe({ topics: [...records.keys()], fromBeginning: true })
    await consumer.run({
      autoCommit: false,
      eachBatch: async ({ batch }) => {
        const partition = records.get(batch.topic)![batch.partition]!
        for (const { headers, key, value } of batch.messages) partition.push({ key, value, headers: asText(headers) })
      }
    })
    await done.promise
  } finally {
    await consumer.disconnect()
  }
  return records
}

const holding = async (kafka: Kafka, topics: ReadonlyArray<string>, key: string): Promise<void> => {
  const missing = new Set(topics)
  const consumer = kafka.consumer({ groupId: `compare.${randomBytes(6).toString("hex")}`, maxWaitTimeInMs: 50 })
  const done = Promise.withResolvers<void>()
  consumer.on("consumer.crash", ({ payload: { error, restart } }) => restart ? undefined : done.reject(error))
  try {
    await consumer.connect()
    await consumer.subscribe({ topics: [...topics], fromBeginning: true })
    await consumer.run({
      autoCommit: false,
      eachMessage: async ({ message, topic }) => {
        if (message.key?.toString() === key) missing.delete(topic)
        if (missing.size === 0) done.resolve()
      }
    })
    await done.promise
  } finally {
    await consumer.disconnect()
  }
}

/** A header that comes more than once keeps every value. */
const asText = (headers: IHeaders | undefined): StoredRecord["headers"] =>
  Object.entries(headers ?? {}).map(([name, value]) => [name, Array.isArray(value) ? value.map(String).join("\n") : String(value)] as const)
