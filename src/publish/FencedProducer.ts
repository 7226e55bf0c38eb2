import { type Base, type Connection, NumericMap, type produceV11 } from "@platformatic/kafka"
import { Effect } from "effect"
import { newestApi } from "../connections/Kafka.ts"
import { fromCause, type KafkaError } from "../connections/KafkaError.ts"
import type { OutgoingRecord } from "../domain/OutgoingRecord.ts"
import type { ProducerIdentity } from "./Fence.ts"
import type { Acknowledgement } from "./TopicIdentities.ts"

/** Writes as one identity, until a send fails: what became of that one is unknown, and a new identity must be taken. */
export interface FencedProducer {
  /** One at a time. When it succeeds, every replica in sync has the records, once and in order. Nothing is repeated here. */
  readonly send: (records: ReadonlyArray<OutgoingRecord>) => Effect.Effect<ReadonlyArray<Acknowledgement>, KafkaError>
}

/**
 * A producer whose identity was given to it by a fence: the client's own takes a new one by itself when it loses the old, and sends
 * again, which is what must not happen here. The records are encoded by the client.
 */
export const make = (client: Base, { epoch, producerId }: ProducerIdentity, compression: Compression): FencedProducer => {
  /** By `topic:partition`, as the encoder looks it up: the number of records sent before. */
  const sequences = new NumericMap()

  const sendTo = async (leader: Connection, records: ReadonlyArray<OutgoingRecord>) => {
    const produce = await newestApi<typeof produceV11.api>(client, "Produce")
    const identity = { producerId, producerEpoch: epoch, sequences }
    const answer = await produce.async(leader, allReplicas, replicationTimeoutMillis, records.map(toMessage), { compression, ...identity })
    for (const { partition, topic } of records) {
      const key = `${topic}:${partition}`
      sequences.set(key, (sequences.getWithDefault(key, 0) + 1) % sequenceCount)
    }
    if (typeof answer === "boolean") return [] // only where no acknowledgement is asked for
    return answer.responses.flatMap(({ name, partitionResponses }) =>
      partitionResponses.map(({ baseOffset, index }): Acknowledgement => ({ topic: name, partition: index, offset: baseOffset })))
  }

  const sendAll = async (records: ReadonlyArray<OutgoingRecord>) => {
    const metadata = await client.metadata({ topics: [...new Set(records.map(({ topic }) => topic))], metadataMaxAge: leadersHoldMillis })
    const byLeader = Map.groupBy(records, ({ partition, topic }) => metadata.topics.get(topic)!.partitions[partition]!.leader)
    const answers = await Promise.all([...byLeader].map(async ([leader, share]) =>
      sendTo(await client.connections.get(metadata.brokers.get(leader)!), share)))
    return answers.flat()
  }

  return {
    send: (records) => Effect.tryPromise({ try: () => sendAll(records), catch: (cause) => fromCause("Publishing to Kafka", cause) })
  }
}

export type Compression = "none" | "gzip" | "lz4" | "zstd" | "snappy"

const allReplicas = -1

/** How long a leader waits for its replicas. */
const replicationTimeoutMillis = 5_000

/** Leaders are asked for once: one that has moved refuses, and then everything is made anew. */
const leadersHoldMillis = Number.MAX_SAFE_INTEGER

/** Sequence numbers are 31 bits wide, and begin again at 0. */
const sequenceCount = 2 ** 31

type Message = Parameters<typeof produceV11.api.async>[3][number]

/** A copy, since the client writes into it. Its types leave out null, which its protocol has: a record without a key, a tombstone. */
const toMessage = ({ headers, key, partition, topic, value }: OutgoingRecord): Message =>
  ({
    topic,
    partition,
    key,
    value,
    headers: headers === undefined ? undefined : new Map(headers.map(([name, text]) => [Buffer.from(name), Buffer.from(text)]))
  }) as unknown as Message
