import { Schema } from "effect"

/** What stopped a reader of topics, by what can be done about it; `isRetryable` is all that a retry policy reads. */
export class ConsumeError extends Schema.TaggedError<ConsumeError>()("ConsumeError", {
  reason: Schema.Literals([
    /** The consumer broke or lost its group: make a new one. */
    "disconnected",
    /** `cdc setup` has not been run. */
    "missingTopic",
    /** Records between the checkpoint and the topic are gone: only a replay makes the aggregates right. */
    "gap"
  ]),
  message: Schema.String
}) {
  get isRetryable(): boolean {
    return this.reason === "disconnected"
  }
}
