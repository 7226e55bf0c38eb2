import { Effect } from "effect"
import kafkajs, { type Admin } from "kafkajs"
import type { Settings } from "../Config.ts"
import { Kafka } from "../connections/Kafka.ts"
import { createTopics } from "../connections/NewTopics.ts"
import * as TopicName from "../domain/TopicName.ts"
import { PublishError } from "./PublishError.ts"

/** A topic as it is to be. */
export interface WantedTopic {
  readonly topic: string
  /** A compacted topic refuses records without a key for ever. */
  readonly hasKey: boolean
  /** `events`: what has happened, kept for a while; otherwise rows, of which the latest word stays. */
  readonly keeps?: "events"
}

/** The topics of the configured events. */
export const ofEvents = ({ eventTopics, topicPrefix }: Settings["kafka"]): ReadonlyArray<WantedTopic> =>
  eventTopics.map((name) => ({ topic: TopicName.ofEvents(topicPrefix, name), hasKey: true, keeps: "events" }))

/** A topic as the cluster has it. */
export interface Topic {
  readonly partitions: number
  readonly isCompacted: boolean
  /** The largest batch that it takes. */
  readonly maxMessageBytes: number
  /** Of its partition with the fewest. */
  readonly replicas: number
  /** Its settings by name, those of `settingNames`. */
  readonly settings: ReadonlyMap<string, string>
}

const settingNames = ["cleanup.policy", "max.message.bytes", "delete.retention.ms", "min.compaction.lag.ms", "retention.ms", "min.insync.replicas"]

/** Creates what is missing and checks the rest; returns the names of those created. Never changes a topic that is there. */
export const ensure = Effect.fnUntraced(function*(wanted: ReadonlyArray<WantedTopic>, settings: Settings["kafka"]) {
  const there = yield* describe(wanted.map(({ topic }) => topic))
  const missing = wanted.filter(({ topic }) => !there.has(topic))
  if (missing.length > 0) {
    yield* createTopics("Creating topics", missing.map((wanted) => ({
      topic: wanted.topic,
      numPartitions: settings.partitions,
      replicationFactor: settings.replicationFactor,
      configEntries: configOf(wanted, settings)
    })))
  }
  yield* check(wanted.filter(({ topic }) => there.has(topic)), there, settings)
  return missing.map(({ topic }) => topic)
})

/** Creates topics for what is set aside; those that are there stay as they are. */
export const ensureDeadLetters = (topics: ReadonlyArray<string>, settings: Settings["kafka"]) =>
  createTopics("Creating dead-letter topics", topics.map((topic) => ({
    topic,
    numPartitions: 1,
    replicationFactor: settings.replicationFactor,
    configEntries: [
      { name: "retention.ms", value: millis(settings.deadLetterRetentionHours) },
      { name: "max.message.bytes", value: String(settings.maxMessageBytes) }
    ]
  })))

/**
 * Every wanted topic, with the partitions that it must have and a policy that takes its records, and those of `former` that are
 * there: topics of tables that are gone, whose last changes are still to come. By name. A topic of `seenBefore` that is missing was
 * deleted since: its table has a gap, and the others go on, unless there is no topic at all.
 */
export const verify = Effect.fnUntraced(function*(
  wanted: ReadonlyArray<WantedTopic>,
  settings: Settings["kafka"],
  former: ReadonlyArray<string> = [],
  seenBefore: ReadonlySet<string> = new Set()
) {
  const there = yield* describe([...wanted.map(({ topic }) => topic), ...former])
  const missing = wanted.filter(({ topic }) => !there.has(topic)).map(({ topic }) => topic)
  if (missing.some((topic) => !seenBefore.has(topic)) || (missing.length > 0 && missing.length === wanted.length)) {
    return yield* new PublishError({
      reason: "topicMissing",
      message: `Kafka has no topic ${missing.join(", ")}: run \`cdc setup\`, which creates the topics of all captured tables.`
    })
  }
  yield* check(wanted.filter(({ topic }) => there.has(topic)), there, settings)
  return there
})

const check = Effect.fnUntraced(function*(
  wanted: ReadonlyArray<WantedTopic>,
  there: ReadonlyMap<string, Topic>,
  settings: Settings["kafka"]
) {
  for (const { hasKey, topic } of wanted) {
    const { isCompacted, partitions } = there.get(topic)!
    if (partitions !== settings.partitions) {
      return yield* new PublishError({
        reason: "partitionsChanged",
        message: `Topic ${topic} has ${partitions} partitions, but kafka.partitions is ${settings.partitions}. The count is fixed once ` +
          `used, because the order of a key's changes rests on it. If the setting was changed, set it back. If the topic was given more, delete it, ` +
          `run \`cdc setup\`, which makes it again, start capture, and read its table again with \`cdc snapshot\`; or capture into topics of another kafka.topicPrefix.`
      })
    }
    if (!hasKey && isCompacted) {
      return yield* new PublishError({
        reason: "unsuitable",
        message: `Topic ${topic} is compacted, but its table has no key, and a compacted topic refuses records without one: ` +
          `set the topic's cleanup.policy to delete, or give the table a primary key.`
      })
    }
  }
})

/** Those of `topics` that exist, by name. */
export const describe = Effect.fnUntraced(function*(topics: ReadonlyArray<string>) {
  const kafka = yield* Kafka
  return yield* kafka.admin("Looking at the topics", async (admin): Promise<ReadonlyMap<string, Topic>> => {
    const names = new Set(await admin.listTopics())
    const present = topics.filter((topic) => names.has(topic))
    if (present.length === 0) return new Map()
    const [metadata, settingsOf] = await Promise.all([admin.fetchTopicMetadata({ topics: present }), readSettings(admin, present)])
    return new Map(metadata.topics.map(({ name, partitions }) => [name, topicOf(partitions, settingsOf.get(name) ?? new Map())]))
  })
})

const topicOf = (partitions: ReadonlyArray<{ readonly replicas: ReadonlyArray<number> }>, settings: ReadonlyMap<string, string>): Topic => ({
  partitions: partitions.length,
  isCompacted: (settings.get("cleanup.policy") ?? "").includes("compact"),
  maxMessageBytes: Number(settings.get("max.message.bytes") ?? kafkaMaxMessageBytes),
  replicas: Math.min(...partitions.map(({ replicas }) => replicas.length)),
  settings
})

/** What a topic takes unless somebody says otherwise. Source: Kafka's documentation, topic configs, `max.message.bytes`. */
const kafkaMaxMessageBytes = 1_048_588

const readSettings = async (admin: Admin, topics: ReadonlyArray<string>): Promise<ReadonlyMap<string, ReadonlyMap<string, string>>> => {
  const { resources } = await admin.describeConfigs({
    includeSynonyms: false,
    resources: topics.map((name) => ({ type: kafkajs.ConfigResourceTypes.TOPIC, name, configNames: settingNames }))
  })
  return new Map(resources.map(({ configEntries, resourceName }) =>
    [resourceName, new Map(configEntries.map(({ configName, configValue }) => [configName, configValue]))]))
}

const configOf = ({ hasKey, keeps }: WantedTopic, settings: Settings["kafka"]) => {
  const policy = hasKey && keeps === undefined ? settings.cleanupPolicy : "delete"
  const common = { "cleanup.policy": policy, "max.message.bytes": String(settings.maxMessageBytes) }
  const values = policy.includes("compact")
    ? {
      ...common,
      "delete.retention.ms": millis(settings.deleteRetentionHours),
      "min.compaction.lag.ms": millis(settings.minCompactionLagHours)
    }
    : keeps === "events" ? { ...common, "retention.ms": millis(settings.eventRetentionHours) } : common
  return Object.entries(values).map(([name, value]) => ({ name, value }))
}

const millis = (hours: number): string => String(hours * 3_600_000)
