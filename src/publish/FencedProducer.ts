import type { API, Base, Connection } from "@platformatic/kafka"
import { Effect } from "effect"
import { newestApi } from "../connections/Kafka.ts"
import { fromCause, type KafkaError } from "../connections/KafkaError.ts"
import type { OutgoingRecord } from "../domain/OutgoingRecord.ts"
import { BatchMemory } from "./BatchMemory.ts"
import type { ProducerIdentity } from "./Fence.ts"
import * as ProduceRequest from "./ProduceRequest.ts"
import * as RecordBatch from "./RecordBatch.ts"
import type { Acknowledgement } from "./TopicIdentities.ts"

/** Writes as one identity, until a send fails: what became of that one is unknown, and a new identity must be taken. */
export interface FencedProducer {
  /** One at a time. When it succeeds, every replica in sync has the records, once and in order. Nothing is repeated here. */
  readonly send: (records: ReadonlyArray<OutgoingRecord>) => Effect.Effect<ReadonlyArray<Acknowledgement>, KafkaError>
}

/**
 * A producer whose identity was given to it by a fence: the client's own takes a new one by itself when it loses the old, and sends
 * again, which is what must not happen here.
 */
export const make = (client: Base, { epoch, producerId }: ProducerIdentity, compression: RecordBatch.Compression): FencedProducer => {
  /** By topic and partition: the number of records sent before. */
  const sequences = new Map<string, number>()
  /** Of one send after the other: what is acknowledged has left it. After a failed one nothing is sent any more. */
  const memory = new BatchMemory()

  const sendTo = async (leader: Connection, shares: ReadonlyArray<Share>) => {
    const { version } = await newestApi<API<Array<unknown>, unknown>>(client, "Produce")
    const timestampMillis = BigInt(Date.now())
    const batches = await Promise.all(shares.map(async ({ partition, records, topic }) => ({
      topic,
      partition,
      bytes: await RecordBatch.encode(records, {
        producerId, producerEpoch: epoch, compression, timestampMillis, firstSequence: sequences.get(placeOf(topic, partition)) ?? 0
      }, (bytes) => memory.take(bytes))
    })))
    const answer = await ProduceRequest.make(version)(leader, batches)
    for (const { partition, records, topic } of shares) {
      const place = placeOf(topic, partition)
      sequences.set(place, ((sequences.get(place) ?? 0) + records.length) % sequenceCount)
    }
    return answer.responses.flatMap(({ name, partitionResponses }) =>
      partitionResponses.map(({ baseOffset, index }): Acknowledgement => ({ topic: name, partition: index, offset: baseOffset })))
  }

  const sendAll = async (records: ReadonlyArray<OutgoingRecord>) => {
    memory.reuse()
    const shares = sharesOf(records)
    const metadata = await client.metadata({ topics: [...new Set(shares.map(({ topic }) => topic))], metadataMaxAge: leadersHoldMillis })
    const byLeader = Map.groupBy(shares, ({ partition, topic }) => metadata.topics.get(topic)!.partitions[partition]!.leader)
    const answers = await Promise.all([...byLeader].map(async ([leader, shares]) =>
      sendTo(await client.connections.get(metadata.brokers.get(leader)!), shares)))
    return answers.flat()
  }

  return {
    send: (records) => Effect.tryPromise({ try: () => sendAll(records), catch: (cause) => fromCause("Publishing to Kafka", cause) })
  }
}

/** What a partition gets of a send. */
interface Share {
  readonly topic: string
  readonly partition: number
  readonly records: Array<OutgoingRecord>
}

const sharesOf = (records: ReadonlyArray<OutgoingRecord>): ReadonlyArray<Share> => {
  const topics = new Map<string, Map<number, Share>>()
  for (const record of records) {
    const { partition, topic } = record
    let shares = topics.get(topic)
    if (shares === undefined) topics.set(topic, shares = new Map())
    const share = shares.get(partition)
    if (share === undefined) shares.set(partition, { topic, partition, records: [record] })
    else share.records.push(record)
  }
  return [...topics.values()].flatMap((shares) => [...shares.values()])
}

const placeOf = (topic: string, partition: number): string => `${topic}:${partition}`

/** Leaders are asked for once: one that has moved refuses, and then everything is made anew. */
const leadersHoldMillis = Number.MAX_SAFE_INTEGER

/** Sequence numbers are 31 bits wide, and begin again at 0. */
const sequenceCount = 2 ** 31
