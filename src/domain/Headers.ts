/** Names of the record headers that we write or read: one list, so that nobody spells them twice. */
export const newKey = "__debezium.newkey"
export const oldKey = "__debezium.oldkey"
/** On a tombstone its delete's position, on an event its own: `<epoch>:<commit LSN>:<order>`. */
export const position = "__cdc.position"

/** On a record that was too large for its topic: the columns that it has the unavailable value for, as Postgres spells them, by comma. */
export const columnsTooLarge = "__cdc.columns.too.large"

/** On an event: what it has told of which row (`EventMessage.Announced`), as JSON. */
export const announced = "__cdc.announced"

/** On an event: how CloudEvents' Kafka binding tells the structured mode. Source: cloudevents/spec, kafka-protocol-binding.md, 3.3. */
export const contentType = "content-type"

/** As Kafka Connect's `DeadLetterQueueReporter` names them, so that its tools read ours. */
export const deadLetter = {
  topic: "__connect.errors.topic",
  partition: "__connect.errors.partition",
  offset: "__connect.errors.offset",
  connectorName: "__connect.errors.connector.name",
  stage: "__connect.errors.stage",
  exceptionClass: "__connect.errors.exception.class.name",
  exceptionMessage: "__connect.errors.exception.message",
  /** Ours: the length of a value that was too large to be repeated. */
  droppedValueBytes: "__cdc.errors.dropped.value.bytes",
  /** Ours: how large the whole record would have been. */
  recordBytes: "__cdc.errors.record.bytes"
} as const
