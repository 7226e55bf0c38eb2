import { Schema } from "effect"

/**
 * Why a server of our own could not be brought up. Nothing here gets better by itself: the process ends with exit
 * code 3, and the message names the remedy.
 */
export class EmbeddedServerError extends Schema.TaggedError<EmbeddedServerError>()("EmbeddedServerError", {
  reason: Schema.Literals(["toolMissing", "alreadyRunning", "cannotPrepare", "didNotStart"]),
  message: Schema.String
}) {
  get isRetryable(): boolean {
    return false
  }
}
