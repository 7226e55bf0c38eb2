import { Effect, Layer } from "effect"
import { AppConfig } from "../../src/Config.ts"
import { TestDatabase } from "./TestDatabase.ts"
import { TestTopics } from "./TestTopics.ts"

/** Values of `config/default.yaml`, by section; lists are comma-separated text, as there. */
export type Overrides = Readonly<Record<string, Readonly<Record<string, unknown>>>>

/** `config/default.yaml` over the test's own database and topic prefix, then `overrides`; nothing of the environment. */
export const layer = (overrides: Overrides = {}) =>
  Layer.unwrap(Effect.gen(function*() {
    const database = yield* TestDatabase
    const topics = yield* TestTopics
    return AppConfig.layerOf({
      ...overrides,
      source: { databaseUrl: database.url, slot: slotOf(database.name), publication: slotOf(database.name), ...overrides.source },
      kafka: { brokers: topics.brokers.join(","), topicPrefix: topics.prefix, ...overrides.kafka }
    })
  }))

/** The same for a process of its own: its environment variables. */
export const environment = (database: TestDatabase["Service"], topics: TestTopics["Service"]): Record<string, string> => ({
  DATABASE_URL: database.url,
  KAFKA_BROKERS: topics.brokers.join(","),
  CDC_KAFKA_TOPIC_PREFIX: topics.prefix,
  CDC_SOURCE_SLOT: slotOf(database.name),
  CDC_SOURCE_PUBLICATION: slotOf(database.name)
})

/** Slots are the whole server's, so each database needs a name of its own for them. */
export const slotOf = (database: string): string => `cdc_${database}`
