import { Schema } from "effect"

/** What stopped a pipeline, by what can be done about it; `isRetryable` is all that a retry policy reads. */
export class PipelineError extends Schema.TaggedError<PipelineError>()("PipelineError", {
  reason: Schema.Literals([
    /** Another instance has applied these records: read again from where it stands. */
    "superseded",
    /** Another generation of state has become the live one: open that. */
    "fenced",
    /** `cdc setup` has not been run. */
    "notSetUp",
    /** The state in Postgres contradicts itself or the topics: only a replay from the topics makes it right. */
    "needsReplay",
    /** Too many records can't be used; nothing was moved, and a person may say what is to become of them. */
    "paused",
    /** The settings of the pipeline are wrong. */
    "misconfigured"
  ]),
  pipeline: Schema.String,
  message: Schema.String
}) {
  get isRetryable(): boolean {
    return this.reason === "superseded" || this.reason === "fenced" || this.reason === "paused"
  }
}
