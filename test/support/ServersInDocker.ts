import { Effect, Scope } from "effect"
import { GenericContainer, Wait } from "testcontainers"

/** The images of `docker-compose.yml`, one container each; gone with the scope. */
export const postgres: Effect.Effect<{ readonly databaseUrl: string }, never, Scope.Scope> = Effect.map(
  running(() =>
    new GenericContainer("postgres:18")
      .withCommand(["postgres", "-c", "wal_level=logical", "-c", "max_replication_slots=40", "-c", "max_wal_senders=40"])
      .withEnvironment({ POSTGRES_PASSWORD: "postgres" })
      .withExposedPorts(5432)
      // Once while the image sets itself up, once for good.
      .withWaitStrategy(Wait.forLogMessage("database system is ready to accept connections", 2))
      .start()
  ),
  (container) => ({ databaseUrl: `postgres://postgres:postgres@${container.getHost()}:${container.getMappedPort(5432)}/postgres` })
)

const kafkaPort = 39_092

/** The broker advertises the port that it is reached on, so that port is the same inside and outside. */
export const kafka: Effect.Effect<{ readonly brokers: string }, never, Scope.Scope> = Effect.as(
  running(() =>
    new GenericContainer("apache/kafka:4.4.0")
      .withEnvironment({
        KAFKA_NODE_ID: "1",
        KAFKA_PROCESS_ROLES: "broker,controller",
        KAFKA_CONTROLLER_QUORUM_VOTERS: "1@localhost:9093",
        KAFKA_CONTROLLER_LISTENER_NAMES: "CONTROLLER",
        KAFKA_LISTENERS: `PLAINTEXT://:${kafkaPort},CONTROLLER://:9093`,
        KAFKA_ADVERTISED_LISTENERS: `PLAINTEXT://127.0.0.1:${kafkaPort}`,
        KAFKA_LISTENER_SECURITY_PROTOCOL_MAP: "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
        KAFKA_AUTO_CREATE_TOPICS_ENABLE: "false",
        KAFKA_GROUP_INITIAL_REBALANCE_DELAY_MS: "0",
        KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR: "1",
        KAFKA_TRANSACTION_STATE_LOG_REPLICATION_FACTOR: "1",
        KAFKA_TRANSACTION_STATE_LOG_MIN_ISR: "1",
        KAFKA_SHARE_COORDINATOR_STATE_TOPIC_REPLICATION_FACTOR: "1",
        KAFKA_SHARE_COORDINATOR_STATE_TOPIC_MIN_ISR: "1"
      })
      .withExposedPorts({ container: kafkaPort, host: kafkaPort })
      .withWaitStrategy(Wait.forLogMessage(/Kafka Server started/))
      .start()
  ),
  { brokers: `127.0.0.1:${kafkaPort}` }
)

function running<C extends { stop: () => Promise<unknown> }>(start: () => Promise<C>) {
  return Effect.acquireRelease(Effect.promise(start), (container) => Effect.promise(() => container.stop()))
}
