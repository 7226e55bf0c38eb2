import kafkajs from "kafkajs"
import type { Row } from "./Report.ts"

/** Of a record's envelope, what delays are computed from. */
export interface Envelope {
  readonly op: string
  readonly after: { readonly outreach_id: string; readonly signal_count?: number } | null
  /** `ts_us`: when it was committed, by Postgres' clock. */
  readonly source: { readonly ts_us: number }
}

export interface Watch extends AsyncDisposable {
  /** When `isDone`, asked after every batch. */
  readonly until: (isDone: () => boolean) => Promise<void>
}

/** Gives each record with a row that comes from now on, and this process' clock (the same machine's) in µs. */
export const watch = async (
  brokers: string,
  topics: ReadonlyArray<string>,
  take: (topic: string, envelope: Envelope, nowMicros: number) => void
): Promise<Watch> => {
  process.env.KAFKAJS_NO_PARTITIONER_WARNING = "1"
  const kafka = new kafkajs.Kafka({ clientId: "bench", brokers: brokers.split(","), logLevel: kafkajs.logLevel.NOTHING })
  const consumer = kafka.consumer({ groupId: `bench.${topics.join(".")}.${Date.now()}`, maxWaitTimeInMs: 20 })
  const joined = Promise.withResolvers<void>()
  consumer.on("consumer.group_join", () => joined.resolve())
  let isDone = () => false
  let done = Promise.withResolvers<void>()
  await consumer.connect()
  await consumer.subscribe({ topics: [...topics], fromBeginning: false })
  await consumer.run({
    autoCommit: false,
    partitionsConsumedConcurrently: 12,
    eachBatch: async ({ batch }) => {
      const now = (performance.timeOrigin + performance.now()) * 1000
      for (const { value } of batch.messages) {
        if (value === null) continue
        const envelope = JSON.parse(value.toString()) as Envelope
        if (envelope.after !== null && envelope.op !== "r") take(batch.topic, envelope, now)
      }
      if (isDone()) done.resolve()
    }
  })
  await joined.promise
  return {
    until: (condition) => {
      isDone = condition
      done = Promise.withResolvers()
      if (isDone()) done.resolve()
      return done.promise
    },
    [Symbol.asyncDispose]: () => consumer.disconnect()
  }
}

/** What is reported of some delays. */
export const summary = (millis: ReadonlyArray<number>): Row => {
  const sorted = millis.toSorted((a, b) => a - b)
  const at = (quantile: number) => Number(sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * quantile))]!.toFixed(1))
  return { "p50 ms": at(0.5), "p99 ms": at(0.99), "max ms": at(1) }
}
