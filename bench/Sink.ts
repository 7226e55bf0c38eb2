import { type Admin, Kafka, type KafkaJSError, logLevel } from "kafkajs"
import type { Usage } from "./debezium/Usage.ts"
import type { Row } from "./Report.ts"

/** How the records of a backlog came to a topic, and what that took. */
export interface Arrival {
  readonly rowsPerSecond: number
  /** Of the process, all its threads. */
  readonly cpuMicrosPerRow: number
  readonly peakBytes: number
}

/** As it is reported. */
export const asRow = ({ arm, cpuMicrosPerRow, peakBytes, round, rowsPerSecond }: Arrival & { readonly arm: string; readonly round: number }): Row => ({
  arm, round, "rows/s": rowsPerSecond, "CPU µs/row": cpuMicrosPerRow, "peak RSS MB": Math.round(peakBytes / 1e6)
})

/** Counts at the topic: the ends of its partitions, as the broker has them. */
export interface Sink extends AsyncDisposable {
  readonly create: (topic: string) => Promise<void>
  /**
   * Measured between two looks at the topic: the first at which there are records, and the first at which there are all of them. So
   * nobody's start counts. Fails if in the end there are fewer or more than `rows`.
   */
  readonly arrival: (topic: string, rows: number, usage: () => Usage) => Promise<Arrival>
}

export const partitions = 6

/** Costs the broker little, and is short beside a run. */
const lookEveryMillis = 50
/** Nothing more comes after so long without a record. */
const stillMillis = 1_000
/** So long without one, and what is missing never comes. */
const lostMillis = 90_000

export const connect = async (brokers: string): Promise<Sink> => {
  process.env.KAFKAJS_NO_PARTITIONER_WARNING = "1"
  const admin = new Kafka({ clientId: "bench", brokers: brokers.split(","), logLevel: logLevel.NOTHING }).admin()
  await admin.connect()
  return {
    create: async (topic) => {
      await admin.createTopics({ topics: [{ topic, numPartitions: partitions }], waitForLeaders: false })
      await untilLed(admin, topic)
    },
    arrival: (topic, rows, usage) => arrival(admin, topic, rows, usage),
    [Symbol.asyncDispose]: () => admin.disconnect()
  }
}

/** kafkajs' own `waitForLeaders` fails where the broker has not heard of the topic yet. */
const untilLed = (admin: Admin, topic: string): Promise<unknown> =>
  admin.fetchTopicOffsets(topic).catch((error: KafkaJSError) => error.retriable ? untilLed(admin, topic) : Promise.reject(error))

interface Look {
  readonly at: number
  readonly records: number
  readonly usage: Usage
}

const arrival = async (admin: Admin, topic: string, rows: number, usage: () => Usage): Promise<Arrival> => {
  const look = async (): Promise<Look> => ({ records: await recordsOf(admin, topic), at: performance.now(), usage: usage() })
  const [first, last] = await firstAndLast(look, rows)
  // A fence leaves a marker in each partition, which takes an offset: some before the first record, none after.
  const markers = last.records - rows
  if (markers < 0 || markers % partitions !== 0) throw new Error(`${topic} has ${last.records} records of ${rows} rows`)
  const counted = last.records - first.records
  const seconds = (last.at - first.at) / 1_000
  return {
    rowsPerSecond: Math.round(counted / seconds),
    cpuMicrosPerRow: Number(((last.usage.cpuSeconds - first.usage.cpuSeconds) * 1e6 / counted).toFixed(1)),
    peakBytes: last.usage.peakBytes
  }
}

const firstAndLast = async (look: () => Promise<Look>, rows: number): Promise<readonly [Look, Look]> => {
  let first: Look | undefined
  let last = await look()
  for (;;) {
    await new Promise((resolve) => setTimeout(resolve, lookEveryMillis))
    const now = await look()
    if (first === undefined && now.records > mostMarkers) first = now
    if (now.records > last.records) last = now
    const still = now.at - last.at
    if (first !== undefined && last.records >= rows && still > stillMillis) return [first, last]
    if (still > lostMillis) throw new Error(`${last.records} of ${rows} rows have come, and no more in ${lostMillis / 1_000} s`)
  }
}

/** Of the fences of a few starts. */
const mostMarkers = 10 * partitions

const recordsOf = async (admin: Admin, topic: string): Promise<number> => {
  const offsets = await admin.fetchTopicOffsets(topic)
  return offsets.reduce((sum, { high, low }) => sum + Number(high) - Number(low), 0)
}
