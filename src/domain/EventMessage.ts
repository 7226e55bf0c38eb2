/**
 * An event on its way through the WAL: the content of a transactional `pg_logical_emit_message` under `prefix`. It commits with what
 * it tells of or not at all, is decoded in the order of commits, and other readers of the WAL pass over it.
 *
 * Capture adds what only it knows: `id`, which is the event's position, and `source`. `attributes` are all others of CloudEvents 1.0.
 */
export interface EventMessage {
  /** Who made it. */
  readonly pipeline: string
  /** Of its topic: what follows `<prefix>.events.`. */
  readonly topic: string
  /** The record's key, by field: events of one key keep their order. */
  readonly key: Readonly<Record<string, string>>
  readonly attributes: EventAttributes
}

/** Source: cloudevents/spec, v1.0.2, spec.md and formats/json-format.md. */
export interface EventAttributes {
  /** What kind of event it is. */
  readonly type: string
  /** What it is about. */
  readonly subject: string
  /** When it came to be, ISO 8601. */
  readonly time: string
  /** The URI of the schema that `data` follows; another one where the schema changes incompatibly. */
  readonly dataschema: string
  /** JSON. */
  readonly data: unknown
}

export const prefix = "cdc.event"

export const encode = (message: EventMessage): string => JSON.stringify(message)

/** The inverse of `encode`; undefined: anybody may write under our prefix, and this is none of ours. */
export const decode = (content: string): EventMessage | undefined => {
  const message = parse(content) as Partial<EventMessage> | null | undefined
  const isOurs = typeof message?.pipeline === "string" && typeof message.topic === "string" && isRecord(message.key) && isRecord(message.attributes)
  return isOurs ? message as EventMessage : undefined
}

const isRecord = (value: unknown): boolean => typeof value === "object" && value !== null && !Array.isArray(value)

const parse = (text: string): unknown => {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
