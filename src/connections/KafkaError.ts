import { Schema } from "effect"

/** What went wrong in Kafka, by what can be done about it; `isRetryable` is all that a retry policy reads. */
export class KafkaError extends Schema.TaggedError<KafkaError>()("KafkaError", {
  reason: Schema.Literals(["unreachable", "forbidden", "tooLarge", "mismatch", "refused"]),
  message: Schema.String
}) {
  get isRetryable(): boolean {
    return this.reason === "unreachable"
  }
}

export const fromCause = (doing: string, cause: unknown): KafkaError => {
  const text = describe(cause)
  const reason = reasonOf(text)
  return new KafkaError({ reason, message: `${doing}: ${text}${remedy[reason]}` })
}

const remedy = {
  unreachable: "; is Kafka up, and KAFKA_BROKERS right?",
  forbidden: "; check the user's name, password and ACLs",
  tooLarge: "; raise the topic's max.message.bytes or lower publish.batchBytes",
  mismatch: "",
  refused: ""
} as const

const reasonOf = (text: string): KafkaError["reason"] => {
  if (/authoriz|authentic|\bSASL|\bACLs?\b/i.test(text)) return "forbidden"
  if (/MESSAGE_TOO_LARGE|RECORD_LIST_TOO_LARGE|larger than the max/i.test(text)) return "tooLarge"
  if (/UNSUPPORTED|INVALID_|UNKNOWN_TOPIC_ID|INCONSISTENT/.test(text)) return "refused"
  return "unreachable"
}

/** The messages of a cause and of what it wraps, outermost first: clients hide the real one inside. */
const describe = (cause: unknown): string => {
  const messages: Array<string> = []
  const collect = (error: unknown): void => {
    if (!(error instanceof Error) || messages.length > 4) return
    if (error.message !== "" && !messages.includes(error.message)) messages.push(error.message)
    collect(error.cause)
    if (error instanceof AggregateError) error.errors.slice(0, 2).forEach(collect)
  }
  collect(cause)
  return messages.length === 0 ? String(cause) : messages.join(": ")
}
