import { type Connection, createAPI, produceV3, produceV4, produceV5, produceV6, produceV7, produceV8, produceV9, produceV10, produceV11, Writer } from "@platformatic/kafka"

/** The batch of one partition. */
export interface PartitionBatch {
  readonly topic: string
  readonly partition: number
  readonly bytes: Buffer
}

type Answer = ReturnType<typeof produceV11.parseResponse>
type Parse = Parameters<typeof createAPI<[ReadonlyArray<PartitionBatch>], Answer>>[3]

/** How a broker answers each version; what is asked for here has the same names in all of them. */
const parsers = [produceV3, produceV4, produceV5, produceV6, produceV7, produceV8, produceV9, produceV10, produceV11]
  .map(({ parseResponse }) => parseResponse as unknown as Parse)
const oldest = 3
/** From here on lengths are variable, and everything has tagged fields behind it. */
const firstCompact = 9
const produceKey = 0

export type Produce = (leader: Connection, batches: ReadonlyArray<PartitionBatch>) => Promise<Answer>

/** `version`: of Produce, 3 to 11; the newest that the brokers and the client have in common. Every replica in sync must have the batches. */
export const make = (version: number): Produce => {
  const isCompact = version >= firstCompact
  const request = (batches: ReadonlyArray<PartitionBatch>) => {
    const writer = Writer.create()
      .appendString(undefined, isCompact) // no transaction
      .appendInt16(allReplicas)
      .appendInt32(replicationTimeoutMillis)
      .appendArray([...Map.groupBy(batches, ({ topic }) => topic)], (writer, [topic, ofTopic]) => {
        writer.appendString(topic, isCompact).appendArray(ofTopic, (writer, { bytes, partition }) => {
          writer.appendInt32(partition).appendBytes(bytes, isCompact)
        }, isCompact, isCompact)
      }, isCompact, isCompact)
    return isCompact ? writer.appendTaggedFields() : writer
  }
  const api = createAPI(produceKey, version, request, parsers[version - oldest]!, isCompact, isCompact)
  return (leader, batches) => api.async(leader, batches)
}

const allReplicas = -1

/** How long a leader waits for its replicas. */
const replicationTimeoutMillis = 5_000
