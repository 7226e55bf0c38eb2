import { Schema } from "effect"

/**
 * Why records can't be published, beyond what Kafka itself refuses (`KafkaError`). None passes by itself:
 *
 * | reason | meaning | exit code |
 * |---|---|---|
 * | `topicMissing` | `cdc setup` did not make it, or somebody deleted it | 3 |
 * | `unsuitable` | its policy refuses the table's records | 3 |
 * | `partitionsChanged` | order and positions rest on a fixed count of partitions | 4 |
 */
export class PublishError extends Schema.TaggedError<PublishError>()("PublishError", {
  reason: Schema.Literals(["topicMissing", "unsuitable", "partitionsChanged"]),
  message: Schema.String
}) {
  get isRetryable(): boolean {
    return false
  }

  /** The process's exit code if this ends it. */
  get exitCode(): 3 | 4 {
    return this.reason === "partitionsChanged" ? 4 : 3
  }
}
