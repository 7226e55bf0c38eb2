import type { TestProject } from "vitest/node"

declare module "vitest" {
  interface ProvidedContext {
    /** Postgres 18, a superuser, wal_level=logical. Take a database of your own in it: `TestDatabase`. */
    databaseUrl: string
    /** Kafka 4.4, `host:port`. Take a topic prefix of your own in it: `TestTopics`. */
    brokers: string
    /** Debian's Postgres 15 where it is installed, set up the same way. */
    postgres15Url: string | undefined
  }
}

/** Global set-up of the integration tests: one Postgres and one Kafka for the whole run. */
export default async function(project: TestProject) {
  const { CDC_TEST_DATABASE_URL: databaseUrl, CDC_TEST_KAFKA_BROKERS: brokers } = process.env
  if (databaseUrl === undefined || brokers === undefined) throw new Error("Set CDC_TEST_DATABASE_URL (Postgres, wal_level=logical) and CDC_TEST_KAFKA_BROKERS.")
  project.provide("databaseUrl", databaseUrl)
  project.provide("brokers", brokers)
  project.provide("postgres15Url", undefined)
}
