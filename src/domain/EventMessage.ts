/**
 * An event on its way through the WAL: the content of a transactional `pg_logical_emit_message` under `prefix`. It commits with what
 * it tells of or not at all, is decoded in the order of commits, and other readers of the WAL pass over it.
 *
 * Capture adds what only it knows: `id`, which is the event's position, and `source`. `attributes` are all others of CloudEvents 1.0.
 */
export interface EventMessage {
  /** Who made it, and what is remembered of it. */
  readonly announced: Announced
  /** Of its topic: what follows `<prefix>.events.`. */
  readonly topic: string
  /** The record's key, by field: events of one key keep their order. */
  readonly key: Readonly<Record<string, string>>
  readonly attributes: EventAttributes
}

/** What a pipeline remembers to have told of a row. Each event carries it in a header, so that its topic can be asked what was really told. */
export interface Announced {
  readonly pipeline: string
  /** The row's table, by `TableName.format`. */
  readonly target: string
  /** By `RowKey.of`. */
  readonly key: string
  /** JSON, by column. */
  readonly told: string
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
  const message = parse(content)
  if (!isRecord(message) || typeof message["topic"] !== "string" || !isRecord(message["key"])) return undefined
  const isWhole = isAnnounced(message["announced"]) && hasTexts(message["attributes"], ["type", "subject", "time", "dataschema"])
  return isWhole ? message as unknown as EventMessage : undefined
}

/** The text of a header. */
export const encodeAnnounced = ({ key, pipeline, target, told }: Announced): string => JSON.stringify({ pipeline, target, key, told })

/** The inverse of `encodeAnnounced`; undefined: anybody may write into the topic, and this is none of ours. */
export const decodeAnnounced = (text: string): Announced | undefined => {
  const announced = parse(text)
  return isAnnounced(announced) && parse(announced.told) !== undefined ? announced : undefined
}

const isAnnounced = (value: unknown): value is Announced => hasTexts(value, ["pipeline", "target", "key", "told"])

const hasTexts = (value: unknown, names: ReadonlyArray<string>): boolean => isRecord(value) && names.every((name) => typeof value[name] === "string")

const isRecord = (value: unknown): value is Record<string, unknown> => typeof value === "object" && value !== null && !Array.isArray(value)

const parse = (text: string): unknown => {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
