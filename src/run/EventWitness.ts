import { Effect } from "effect"
import { CaptureError } from "../capture/CaptureError.ts"
import * as EventTopics from "../capture/EventTopics.ts"
import { AppConfig } from "../Config.ts"
import type { Kafka } from "../connections/Kafka.ts"
import type { KafkaError } from "../connections/KafkaError.ts"
import { Postgres } from "../connections/Postgres.ts"
import type { PostgresError } from "../connections/PostgresError.ts"
import * as TopicLog from "../connections/TopicLog.ts"
import * as EventMessage from "../domain/EventMessage.ts"
import * as Headers from "../domain/Headers.ts"
import type * as Lsn from "../domain/Lsn.ts"
import * as TopicName from "../domain/TopicName.ts"
import { lossOf, type TopicIdentity } from "../domain/TopicIdentity.ts"
import * as AnnouncedWitness from "../materialize/AnnouncedWitness.ts"
import { createSharedTables } from "../materialize/Registration.ts"
import * as TopicIdentities from "../publish/TopicIdentities.ts"
import * as Topics from "../publish/Topics.ts"

/** What is remembered of the topics of events before a session begins, by name. */
export const remembered = Effect.gen(function*() {
  const { source } = yield* AppConfig
  const sql = yield* Postgres
  const state = EventTopics.make(source.stateSchema, source.slot)
  yield* state.createTable(sql) // an earlier version's `setup` has not made it
  return yield* state.load(sql)
})

/**
 * From which commit on the events of each topic are to be published, by name of the topic. What was remembered as told is corrected by
 * what the topic has, where the two may differ: in a new epoch, because what was announced last was not decoded, or the database went
 * back and the topic did not; and where the topic is another one, or has lost records.
 *
 * To be called while this process is the only one who may write to the topics, and has not begun to. May be killed anywhere.
 */
export const startsOf = Effect.fnUntraced(function*(
  topics: ReadonlyMap<string, Topics.Topic>,
  epoch: number
): Effect.fn.Return<ReadonlyMap<string, Lsn.Lsn>, CaptureError | KafkaError | PostgresError, AppConfig | Kafka | Postgres> {
  const { kafka } = yield* AppConfig
  const before = yield* remembered
  const seen = yield* TopicIdentities.read([...topics.keys()])
  const starts = new Map<string, Lsn.Lsn>()
  for (const name of kafka.eventTopics) {
    const topic = TopicName.ofEvents(kafka.topicPrefix, name)
    const identity = seen.get(topic)
    if (identity === undefined) continue // gone since; the watch says so
    const known = before.get(topic)
    const why = whyAsk(topic, known, { epoch, identity })
    starts.set(topic, why === undefined ? known!.from : yield* ask({ name, topic, epoch, identity, known, settings: topics.get(topic)!.settings }, why))
  }
  return starts
})

/** undefined: what is remembered as told is what the topic was, or will be, told. */
const whyAsk = (topic: string, known: EventTopics.EventTopic | undefined, now: { readonly epoch: number; readonly identity: TopicIdentity }) => {
  if (known === undefined) return `topic ${topic} is new`
  return known.epoch === now.epoch ? lossOf(topic, known.identity, now.identity) : `epoch ${now.epoch} begins`
}

interface Asked {
  readonly name: string
  readonly topic: string
  readonly epoch: number
  readonly identity: TopicIdentity
  readonly known: EventTopics.EventTopic | undefined
  readonly settings: ReadonlyMap<string, string>
}

const ask = Effect.fnUntraced(function*({ epoch, identity, known, name, settings, topic }: Asked, why: string) {
  const { source } = yield* AppConfig
  const postgres = yield* Postgres
  yield* createSharedTables(postgres, source.stateSchema) // an earlier version's `setup` has not made all of them
  const last = yield* lastOf(topic)
  const retention = Number(settings.get("retention.ms") ?? -1)
  const { lsn, rows } = yield* postgres.transaction((sql) =>
    Effect.gen(function*() {
      const correction = yield* AnnouncedWitness.correct(sql, source.stateSchema, {
        topic: name, last, reachesBackMillis: retention < 0 ? Infinity : retention
      })
      const state = EventTopics.make(source.stateSchema, source.slot)
      if (yield* state.remember(sql, topic, known, { epoch, identity, from: correction.lsn })) return correction
      return yield* new CaptureError({ reason: "interrupted", message: `Another process has begun to write to ${topic}` })
    }))
  if (rows > 0) yield* Effect.logWarning(`${why}: what ${rows} rows have come to since their last event there is announced again`, { topic, count: rows })
  return lsn
})

/** Of each row the last event. */
const lastOf = Effect.fnUntraced(function*(topic: string) {
  const last = new Map<string, AnnouncedWitness.PublishedEvent>()
  const log = yield* TopicLog.open(topic, "cdc-events")
  yield* log.toEnd((records) => Effect.sync(() => {
    for (const { headers, millis } of records) {
      const header = headers.find(([name]) => name?.toString() === Headers.announced)?.[1]
      const announced = EventMessage.decodeAnnounced(header?.toString() ?? "")
      if (announced !== undefined) last.set(JSON.stringify([announced.pipeline, announced.target, announced.key]), { ...announced, millis })
    }
  }))
  return [...last.values()]
}, Effect.scoped)
