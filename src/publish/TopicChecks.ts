import type { Settings } from "../Config.ts"
import { advice, type Check, error, type Finding, warning } from "../domain/Finding.ts"
import { remakeEvents } from "../domain/Remedy.ts"
import { largestIn } from "./TooLarge.ts"
import type { Topic, WantedTopic } from "./Topics.ts"

/** What Kafka says of the topics, read once. */
export interface TopicFacts {
  readonly brokers: number
  readonly wanted: ReadonlyArray<WantedTopic>
  /** Those that are there, by name. */
  readonly topics: ReadonlyMap<string, Topic>
  /** `cdc setup` was run: none may be missing. */
  readonly isSetUp: boolean
}

type TopicSettings = Pick<Settings, "kafka" | "publish" | "consume">

/** What would refuse, lose or stall records; each finding says its remedy. Pure. */
export const checkTopics = (facts: TopicFacts, settings: TopicSettings): ReadonlyArray<Check> => [
  present(facts),
  partitions(facts, settings),
  policy(facts, settings),
  compaction(facts, settings),
  sizes(facts, settings),
  replication(facts, settings)
]

const there = ({ topics, wanted }: TopicFacts) =>
  wanted.flatMap(({ hasKey, keeps, topic: name }) => {
    const topic = topics.get(name)
    return topic === undefined ? [] : [{ name, hasKey, keeps, topic }]
  })

export const topicsCheck = "topics"

const present = (facts: TopicFacts): Check => {
  const missing = facts.wanted.filter(({ topic }) => !facts.topics.has(topic))
  const [ofEvents, ofTables] = [missing.filter(({ keeps }) => keeps === "events"), missing.filter(({ keeps }) => keeps !== "events")]
  return {
    name: topicsCheck,
    fine: missing.length === 0 ? `all ${facts.wanted.length} there` : `${missing.length} of ${facts.wanted.length} not made yet; \`cdc setup\` makes them`,
    findings: !facts.isSetUp ? [] : [
      ...missingTopics(ofTables, "`cdc setup` makes the topic of a new table; one that was deleted has a gap, which `cdc snapshot TABLE` fills"),
      ...missingTopics(ofEvents, remakeEvents)
    ]
  }
}

const missingTopics = (missing: ReadonlyArray<WantedTopic>, remedy: string): ReadonlyArray<Finding> => {
  const [first, ...more] = missing.map(({ topic }) => topic)
  if (first === undefined) return []
  return [more.length === 0 ? error(`Topic ${first}`, "is missing", remedy) : error(`${missing.length} topics`, `are missing (${[first, ...more].join(", ")})`, remedy)]
}

const partitions = (facts: TopicFacts, { kafka }: TopicSettings): Check => ({
  name: "partitions",
  fine: `${kafka.partitions} each`,
  findings: there(facts).filter(({ topic }) => topic.partitions !== kafka.partitions).map(({ name, topic }) =>
    error(`Topic ${name}`, `has ${topic.partitions} partitions, but kafka.partitions is ${kafka.partitions}, and the count is fixed once used, because the order of a key's changes rests on it`,
      "set kafka.partitions back; if the topic was given more, delete it, run `cdc setup`, start capture, and read its table again with `cdc snapshot`; or capture into topics of another kafka.topicPrefix"))
})

const policy = (facts: TopicFacts, { kafka }: TopicSettings): Check => ({
  name: "cleanup.policy",
  fine: kafka.cleanupPolicy,
  findings: there(facts).flatMap(({ hasKey, keeps, name, topic }): ReadonlyArray<Finding> => {
    if (keeps === "events") return keptEvents(name, topic, kafka.eventRetentionHours)
    const found = topic.settings.get("cleanup.policy") ?? "delete"
    if (!hasKey) {
      return topic.isCompacted
        ? [error(`Topic ${name}`, "is compacted, but its table has no key, and a compacted topic refuses records without one",
          "set the topic's cleanup.policy to delete, or give the table a primary key")]
        : []
    }
    if (sorted(found) === sorted(kafka.cleanupPolicy)) return []
    return [warning(`Topic ${name}`, `has cleanup.policy ${found}, and kafka.cleanupPolicy is ${kafka.cleanupPolicy}${found.includes("delete") ? ": rows older than its retention are gone for a new reader" : ""}`,
      alter(name, "cleanup.policy", kafka.cleanupPolicy))]
  })
})

/** Compaction would leave of each key's history only its end. */
const keptEvents = (name: string, { isCompacted, settings }: Topic, hours: number): ReadonlyArray<Finding> => {
  if (isCompacted) {
    return [warning(`Topic ${name}`, `has cleanup.policy ${settings.get("cleanup.policy")}: of each key's events only the last would stay`, alter(name, "cleanup.policy", "delete"))]
  }
  const found = Number(settings.get("retention.ms") ?? -1) // -1: for ever
  return found < 0 || found >= hours * hour ? [] : [
    warning(`Topic ${name}`, `has retention.ms ${Math.floor(found / hour)} h, and ${hours} h are configured: a reader that is away for longer misses events`,
      alter(name, "retention.ms", String(hours * hour)))
  ]
}

const sorted = (policies: string): string => policies.split(",").map((name) => name.trim()).sort().join(",")

const hour = 3_600_000

/** A delete must stay readable for as long as a pipeline may stand still: hard limits, since nothing shows a delete that was forgotten. */
const compaction = (facts: TopicFacts, { consume, kafka }: TopicSettings): Check => {
  const wanted = [["delete.retention.ms", kafka.deleteRetentionHours], ["min.compaction.lag.ms", kafka.minCompactionLagHours]] as const
  const findings = there(facts).filter(({ keeps, topic }) => topic.isCompacted && keeps === undefined).flatMap(({ name, topic }) =>
    wanted.flatMap(([setting, hours]) => {
      const found = Number(topic.settings.get(setting) ?? 0)
      return found >= hours * hour ? [] : [
        warning(`Topic ${name}`, `has ${setting} ${Math.floor(found / hour)} h, and ${hours} h are configured: a pipeline that stands still for longer misses ${setting.startsWith("delete") ? "deletes" : "changes"}`,
          alter(name, setting, String(hours * hour)))
      ]
    }))
  if (consume.maxCheckpointAgeHours >= Math.min(kafka.deleteRetentionHours, kafka.minCompactionLagHours)) {
    findings.push(error("consume.maxCheckpointAgeHours", `is ${consume.maxCheckpointAgeHours}, not below kafka.deleteRetentionHours and kafka.minCompactionLagHours: a pipeline could go on although deletes are gone`,
      "lower it below both"))
  }
  return { name: "compaction", fine: `deletes stay for ${kafka.deleteRetentionHours} h`, findings }
}

const sizes = (facts: TopicFacts, { publish }: TopicSettings): Check => ({
  name: "max.message.bytes",
  fine: `records of up to ${publish.maxRecordBytes} bytes`,
  findings: there(facts).flatMap(({ name, topic }): ReadonlyArray<Finding> => {
    const largest = largestIn(topic.maxMessageBytes)
    if (largest < publish.batchBytes) {
      return [warning(`Topic ${name}`, `takes ${topic.maxMessageBytes} bytes, and publish.batchBytes is ${publish.batchBytes}: all topics get smaller batches, and larger records lack their largest columns`,
        alter(name, "max.message.bytes", String(Math.ceil(publish.maxRecordBytes * 1.05))))]
    }
    return largest < publish.maxRecordBytes
      ? [advice(`Topic ${name}`, `takes ${topic.maxMessageBytes} bytes, and publish.maxRecordBytes is ${publish.maxRecordBytes}: records in between lack their largest columns`,
        alter(name, "max.message.bytes", String(Math.ceil(publish.maxRecordBytes * 1.05))))]
      : []
  })
})

const replication = (facts: TopicFacts, { kafka }: TopicSettings): Check => {
  const findings: Array<Finding> = []
  if (kafka.replicationFactor > facts.brokers && facts.topics.size < facts.wanted.length) {
    findings.push(error("kafka.replicationFactor", `is ${kafka.replicationFactor}, and the cluster has ${plural(facts.brokers, "broker")}: topics can't be made`, "lower it, or add brokers"))
  }
  for (const { name, topic } of there(facts)) {
    const least = Number(topic.settings.get("min.insync.replicas") ?? 1)
    if (least > topic.replicas) {
      findings.push(error(`Topic ${name}`, `has ${plural(topic.replicas, "replica")} and min.insync.replicas ${least}: no record would ever be acknowledged`,
        alter(name, "min.insync.replicas", String(topic.replicas))))
    }
  }
  const single = there(facts).filter(({ topic }) => topic.replicas === 1)
  if (single.length > 0 && facts.brokers > 1) {
    findings.push(warning(single.length === 1 ? `Topic ${single[0]!.name}` : `${single.length} topics`, "have one replica in a cluster of several: a broker's disk can lose what was acknowledged",
      "reassign them to three (kafka-reassign-partitions.sh), and set kafka.replicationFactor"))
  }
  return { name: "replication", fine: `${plural(facts.brokers, "broker")}, ${plural(kafka.replicationFactor, "replica")}`, findings }
}

const plural = (count: number, noun: string): string => `${count} ${noun}${count === 1 ? "" : "s"}`

const alter = (topic: string, setting: string, value: string): string =>
  `kafka-configs.sh --alter --entity-type topics --entity-name ${topic} --add-config ${setting}=${value}`
