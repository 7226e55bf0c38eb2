/*
 * Reacts to changes of tier with stock kafkajs, each once: a start for a hub of your own.
 *
 *   KAFKA_BROKERS=127.0.0.1:9092 npx node examples/react-to-tiers.ts
 *
 * Against `npm start`, take the address that it prints. Ctrl-C stops it.
 */
import { Kafka, type KafkaMessage, logLevel } from "kafkajs"

const topic = process.env.TOPIC ?? "hub.events.bit-score-tier-changed"
const brokers = (process.env.KAFKA_BROKERS ?? "127.0.0.1:9092").split(",")

/** CloudEvents 1.0, structured mode; docs/schemas has the JSON Schema of `data`. */
interface TierChanged {
  /** `<epoch>:<commit LSN>:<n>`: grows along a partition. */
  readonly id: string
  readonly dataschema: string
  readonly data: {
    readonly outreach_id: string
    readonly before: { readonly tier: string; readonly score: number } | null
    readonly after: { readonly tier: string; readonly score: number }
    readonly cause: { readonly type: "signal" | "decay" | "replay"; readonly correlation_ids: ReadonlyArray<string> }
    readonly effective_at: string
  }
}

const understood = "urn:hub:schema:bit-score-tier-changed:1"
/** By partition. Keep it beside what you do, in the same transaction: then each event has its effect exactly once. */
const last = new Map<number, string>()

const handle = (partition: number, { value }: KafkaMessage): void => {
  const event = JSON.parse(value!.toString()) as TierChanged
  const before = last.get(partition)
  if (before !== undefined && !isAfter(event.id, before)) return // the same event once more
  last.set(partition, event.id)
  if (event.dataschema !== understood) return // an incompatible later version: ignore it, or stop, as suits you
  react(event.data)
}

/** What your hub does about it. */
const react = ({ after, before, cause, effective_at, outreach_id }: TierChanged["data"]): void =>
  console.log(`${effective_at} ${outreach_id}: ${before?.tier ?? "new"} → ${after.tier} (${after.score}), by ${[cause.type, ...cause.correlation_ids].join(" ")}`)

/** The LSN is 64 bits wide, hence bigints. */
const isAfter = (a: string, b: string): boolean => {
  const [left, right] = [a, b].map((id) => id.split(":").map(BigInt))
  const differs = left!.findIndex((part, index) => part !== right![index])
  return differs !== -1 && left![differs]! > right![differs]!
}

const consumer = new Kafka({ clientId: "react-to-tiers", brokers, logLevel: logLevel.ERROR }).consumer({
  groupId: process.env.GROUP ?? "react-to-tiers" // goes on where this group stood; its first run begins with the oldest event kept
})

await consumer.connect()
await consumer.subscribe({ topics: [topic], fromBeginning: true })
await consumer.run({ eachMessage: async ({ message, partition }) => handle(partition, message) })

process.once("SIGINT", () => consumer.disconnect())
