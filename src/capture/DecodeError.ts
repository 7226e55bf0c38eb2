/**
 * A message that is not what pgoutput, protocol version 1, sends: never retryable, since the same bytes would come again.
 * Carries the position of the fault and the message's tag, never its content.
 */
export class DecodeError extends Error {
  readonly _tag = "DecodeError"
  readonly isRetryable = false
  /** Where in the message reading stopped, in bytes. */
  readonly offset: number

  constructor(problem: string, offset: number) {
    super(`Cannot decode a pgoutput message: ${problem} at byte ${offset}. ` +
      "The stream was asked for protocol version 1 as text; is something between us and Postgres, or its version newer than we know?")
    this.name = "DecodeError"
    this.offset = offset
  }
}
