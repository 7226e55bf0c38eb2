import { Context, Effect, Layer } from "effect"
import { randomBytes } from "node:crypto"
import kafkajs, { type Admin, type IHeaders, type ITopicConfig, type Kafka, type KafkaJSError } from "kafkajs"
import { zstdCompressSync, zstdDecompressSync } from "node:zlib"
import { inject } from "vitest"

/** A record as a stock consumer sees it. */
export interface ReadRecord {
  readonly partition: number
  readonly offset: bigint
  readonly key: Buffer | null
  /** null: a tombstone. */
  readonly value: Buffer | null
  readonly headers: Readonly<Record<string, string>>
}

/** A topic prefix that nobody else uses, and a stock kafkajs to look at its topics; they are deleted afterwards. */
export interface OwnTopics {
  readonly brokers: ReadonlyArray<string>
  readonly prefix: string
  readonly client: Kafka
  readonly admin: Admin
  /** Done when the leader of each partition answers: kafkajs' `waitForLeaders` fails where the broker has not heard of the topic yet. */
  readonly create: (topics: ReadonlyArray<ITopicConfig>) => Promise<void>
  /** Done when the topics are gone: Kafka answers before. */
  readonly remove: (topics: ReadonlyArray<string>) => Promise<void>
  /** Sets one of the topic's settings; done when the broker says so itself: it answers before it has heard of it. */
  readonly set: (topic: string, name: string, value: string) => Promise<void>
  /**
   * Lowers the topic's `max.message.bytes`; done when each partition refuses what is larger: the logs
   * hear of it last. Tombstones of the key `probe` tell, and may have got into the topic until then.
   */
  readonly limit: (topic: string, maxMessageBytes: number) => Promise<void>
  /** Every record between the beginning and the end offsets at the time of the call, by partition and offset. */
  readonly readTopic: (topic: string) => Promise<ReadonlyArray<ReadRecord>>
  readonly close: () => Promise<void>
}

export const createTopics = async (brokers: ReadonlyArray<string> = inject("brokers").split(",")): Promise<OwnTopics> => {
  const prefix = `test-${randomBytes(6).toString("hex")}`
  const client = new kafkajs.Kafka({ clientId: prefix, brokers: [...brokers], logLevel: kafkajs.logLevel.NOTHING })
  const admin = client.admin()
  await admin.connect()
  return {
    brokers,
    prefix,
    client,
    admin,
    create: async (topics) => {
      await admin.createTopics({ topics: [...topics], waitForLeaders: false })
      for (const { topic } of topics) await untilLed(admin, topic)
    },
    remove: (topics) => remove(admin, topics),
    set: (topic, name, value) => set(admin, topic, name, value),
    limit: (topic, maxMessageBytes) => limit(client, admin, topic, maxMessageBytes),
    readTopic: (topic) => readTopic(client, admin, topic),
    close: async () => {
      const topics = (await admin.listTopics()).filter((topic) => topic.startsWith(`${prefix}.`))
      if (topics.length > 0) await admin.deleteTopics({ topics })
      await admin.disconnect()
    }
  }
}

/** {@link OwnTopics} as a service: one prefix per test file. */
export class TestTopics extends Context.Service<TestTopics, OwnTopics>()("cdc/test/TestTopics") {
  static readonly layer = Layer.effect(
    TestTopics,
    Effect.acquireRelease(Effect.promise(() => createTopics()), (topics) => Effect.promise(topics.close))
  )
}

const untilLed = (admin: Admin, topic: string): Promise<unknown> =>
  admin.fetchTopicOffsets(topic).catch((error: KafkaJSError) => error.retriable ? untilLed(admin, topic) : Promise.reject(error))

const remove = async (admin: Admin, topics: ReadonlyArray<string>): Promise<void> => {
  await admin.deleteTopics({ topics: [...topics] })
  while ((await admin.listTopics()).some((topic) => topics.includes(topic))) { /* still told of */ }
}

const ownSettings = async (admin: Admin, topic: string): Promise<ReadonlyMap<string, string>> => {
  const resource = { type: kafkajs.ConfigResourceTypes.TOPIC, name: topic }
  const { resources: [described] } = await admin.describeConfigs({ includeSynonyms: false, resources: [resource] })
  const own = described!.configEntries.filter(({ isDefault }) => !isDefault)
  return new Map(own.map(({ configName, configValue }) => [configName, configValue]))
}

const set = async (admin: Admin, topic: string, name: string, value: string): Promise<void> => {
  const settings = new Map([...await ownSettings(admin, topic), [name, value]])
  const configEntries = Array.from(settings, ([name, value]) => ({ name, value }))
  await admin.alterConfigs({ validateOnly: false, resources: [{ type: kafkajs.ConfigResourceTypes.TOPIC, name: topic, configEntries }] })
  while ((await ownSettings(admin, topic)).get(name) !== value) { /* not heard of yet */ }
}

const limit = async (client: Kafka, admin: Admin, topic: string, maxMessageBytes: number): Promise<void> => {
  await set(admin, topic, "max.message.bytes", String(maxMessageBytes))
  const producer = client.producer({ createPartitioner: kafkajs.Partitioners.DefaultPartitioner })
  await producer.connect()
  try {
    for (const { partition } of await admin.fetchTopicOffsets(topic)) {
      const probe = { partition, key: "probe", value: null, headers: { probe: Buffer.alloc(maxMessageBytes) } }
      while (await isTaken(producer.send({ topic, messages: [probe] }))) { /* not told yet */ }
    }
  } finally {
    await producer.disconnect()
  }
}

const isTaken = (sent: Promise<unknown>): Promise<boolean> =>
  sent.then(() => true, (error: KafkaJSError & { type?: string }) => error.type === "MESSAGE_TOO_LARGE" ? false : Promise.reject(error))

const readTopic = async (client: Kafka, admin: Admin, topic: string): Promise<ReadonlyArray<ReadRecord>> => {
  const ends = new Map<number, bigint>()
  for (const { high, low, partition } of await admin.fetchTopicOffsets(topic)) {
    if (BigInt(high) > BigInt(low)) ends.set(partition, BigInt(high))
  }
  const records: Array<ReadRecord> = []
  if (ends.size === 0) return records

  const consumer = client.consumer({ groupId: `${topic}.${randomBytes(6).toString("hex")}`, maxWaitTimeInMs: 50 })
  const reachedEnd = Promise.withResolvers<void>()
  const unread = new Set(ends.keys())
  // Also told of batches that hold nothing but control records, which `eachBatch` never sees.
  consumer.on("consumer.end_batch_process", ({ payload: { lastOffset, partition } }) => {
    if (BigInt(lastOffset) + 1n >= (ends.get(partition) ?? 0n)) unread.delete(partition)
    if (unread.size === 0) reachedEnd.resolve()
  })
  consumer.on("consumer.crash", ({ payload }) => {
    if (!payload.restart) reachedEnd.reject(payload.error)
  })
  try {
    await consumer.connect()
    await consumer.subscribe({ topic, fromBeginning: true })
    await consumer.run({
      autoCommit: false,
      eachBatch: async ({ batch }) => {
        for (const { headers, key, offset, value } of batch.messages) {
          if (BigInt(offset) >= (ends.get(batch.partition) ?? 0n)) continue
          records.push({ partition: batch.partition, offset: BigInt(offset), key, value, headers: asText(headers) })
        }
      }
    })
    await reachedEnd.promise
  } finally {
    await consumer.disconnect()
  }
  return records.sort((a, b) => a.partition - b.partition || Number(a.offset - b.offset))
}

const asText = (headers: IHeaders | undefined): Record<string, string> =>
  Object.fromEntries(Object.entries(headers ?? {}).map(([name, value]) => [name, String(value)]))

process.env.KAFKAJS_NO_PARTITIONER_WARNING = "1"
kafkajs.CompressionCodecs[kafkajs.CompressionTypes.ZSTD] = () => ({
  compress: async (encoder: { buffer: Buffer }) => zstdCompressSync(encoder.buffer),
  decompress: async (buffer: Buffer) => zstdDecompressSync(buffer)
})
