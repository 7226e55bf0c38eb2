import { fileURLToPath } from "node:url"
import * as TableName from "../src/domain/TableName.ts"
import * as Connect from "./debezium/Connect.ts"
import { reference } from "./debezium/Connector.ts"
import * as Distribution from "./debezium/Distribution.ts"

export interface DebeziumOptions {
  readonly databaseUrl: string
  readonly brokers: string
  /** Of topics and slot. */
  readonly name: string
  readonly publication: string
  readonly settings?: Readonly<Record<string, string>>
}

/** Debezium on a Kafka Connect worker, on `outreach.bit_signals`; its log is `.data/bench-debezium/connect.log`. */
export const start = async ({ brokers, databaseUrl, name, publication, settings }: DebeziumOptions): Promise<Connect.Connect> =>
  Connect.start({
    distribution: await Distribution.prepare(),
    directory: fileURLToPath(new URL("../.data/bench-debezium", import.meta.url)),
    brokers,
    worker: { "connector.client.config.override.policy": "All" },
    jvm: ["-Xmx2g"], // what it takes if it may; the JVM's own collector
    connector: {
      ...reference({ databaseUrl, topicPrefix: name, slot: name, tables: [TableName.TableName("outreach", "bit_signals")] }),
      "publication.name": publication,
      ...settings
    }
  })

/** What its users are told to set for a backlog. */
export const forThroughput: Readonly<Record<string, string>> = {
  "max.batch.size": "20000",
  "max.queue.size": "100000",
  "provide.transaction.metadata": "false", // a topic more, which ours has not
  "producer.override.compression.type": "lz4",
  "producer.override.batch.size": "1048576",
  "producer.override.linger.ms": "5",
  "producer.override.buffer.memory": "134217728"
}

/** What its users set for little delay. */
export const forLatency: Readonly<Record<string, string>> = {
  "poll.interval.ms": "5",
  "provide.transaction.metadata": "false",
  "producer.override.linger.ms": "0"
}
