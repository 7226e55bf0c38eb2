import { Schema } from "effect"

/**
 * Why capture can't go on. Only `interrupted` may pass by itself; every other one needs a person:
 *
 * | reason | meaning | exit code |
 * |---|---|---|
 * | `interrupted` | the replication connection ended: a restart, a failover, a cut network | – (retried) |
 * | `notSetUp` | `cdc setup` was never run here | 3 |
 * | `unsuitable` | the server, the role or a table can't be captured as it is | 3 |
 * | `gap` | what was remembered is gone or replaced, so changes may have been missed | 4 |
 * | `undecodable` | the server sent what this version does not understand | 4 |
 */
export class CaptureError extends Schema.TaggedError<CaptureError>()("CaptureError", {
  reason: Schema.Literals(["interrupted", "notSetUp", "unsuitable", "gap", "undecodable"]),
  message: Schema.String
}) {
  get isRetryable(): boolean {
    return this.reason === "interrupted"
  }

  /** The process's exit code if this ends it. */
  get exitCode(): 3 | 4 {
    return this.reason === "gap" || this.reason === "undecodable" ? 4 : 3
  }
}
