import { findErrorBy } from "@platformatic/kafka"
import { Schema } from "effect"

/**
 * What went wrong in Kafka, by what can be done about it; `isRetryable` is all that a retry policy reads. Who is `fenced` may try
 * again from the beginning only: as one who waits for his turn.
 */
export class KafkaError extends Schema.TaggedError<KafkaError>()("KafkaError", {
  reason: Schema.Literals(["unreachable", "fenced", "forbidden", "tooLarge", "mismatch", "refused"]),
  message: Schema.String
}) {
  get isRetryable(): boolean {
    return this.reason === "unreachable" || this.reason === "fenced"
  }
}

export const fromCause = (doing: string, cause: unknown): KafkaError => {
  const text = describe(cause)
  const reason = fencedIds.some((id) => findErrorBy(cause as Error, "apiId", id) !== null) ? "fenced" : reasonOf(text)
  return new KafkaError({ reason, message: `${doing}: ${text}${remedy[reason]}` })
}

/** What brokers answer to a producer after another one has taken its `transactional.id`: partitions, and the coordinator. */
const fencedIds = ["INVALID_PRODUCER_EPOCH", "PRODUCER_FENCED", "INVALID_PRODUCER_ID_MAPPING", "INVALID_TXN_STATE"]

const remedy = {
  unreachable: "; is Kafka up, and KAFKA_BROKERS right?",
  fenced: "; another process has taken over the right to write",
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
  return messages.length === 0 ? String(cause) : messages.join(": ").replace(/\.$/, "")
}
