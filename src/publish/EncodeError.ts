/** A change that can't become a record, whatever is tried again: the table is set up in a way that loses its key. */
export class EncodeError extends Error {
  readonly _tag = "EncodeError"
  readonly isRetryable = false

  constructor(message: string) {
    super(message)
    this.name = "EncodeError"
  }
}
