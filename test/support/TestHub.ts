import { Effect, Layer } from "effect"
import { AppConfig } from "../../src/Config.ts"
import { Postgres } from "../../src/connections/Postgres.ts"
import { TestDatabase } from "./TestDatabase.ts"

/** Connections to the test's database, for what needs no Kafka. */
export const connections = Postgres.layer.pipe(
  Layer.provideMerge(Layer.unwrap(Effect.map(TestDatabase, (database) =>
    AppConfig.layerOf({ source: { databaseUrl: database.url }, kafka: { brokers: "nobody:1" } }))))
)

/** The same with a database of its own. */
export const layer = connections.pipe(Layer.provideMerge(TestDatabase.layer))
