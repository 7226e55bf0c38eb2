import * as EventMessage from "../domain/EventMessage.ts"
import * as Headers from "../domain/Headers.ts"
import type { OutgoingRecord } from "../domain/OutgoingRecord.ts"
import * as Position from "../domain/Position.ts"
import * as TopicName from "../domain/TopicName.ts"
import { partitionOf } from "./Router.ts"

export interface EventEncoderOptions {
  readonly topicPrefix: string
  /** Those of events that are there, by name: how many partitions each has. */
  readonly partitions: ReadonlyMap<string, number>
}

/** `content-type` of an event in CloudEvents' structured mode. */
export const cloudEventsJson = "application/cloudevents+json; charset=UTF-8"

/**
 * The record of an event found in the stream; undefined: the message is none of ours, or its topic is not configured. The value is a
 * CloudEvent 1.0 in JSON. `position` is its `id`, which is the same on every replay of the stream, and a header as well, so that the
 * end of a partition can be read back like a table's.
 */
export const encodeEvent = (options: EventEncoderOptions, content: string, position: Position.Position): OutgoingRecord | undefined => {
  const message = EventMessage.decode(content)
  if (message === undefined) return undefined
  const topic = TopicName.ofEvents(options.topicPrefix, message.topic)
  const partitions = options.partitions.get(topic)
  if (partitions === undefined) return undefined
  const { data, dataschema, subject, time, type } = message.attributes
  const id = Position.format(position)
  const source = `/${options.topicPrefix}/${message.pipeline}`
  const key = Buffer.from(JSON.stringify(message.key))
  return {
    topic,
    partition: partitionOf(key, partitions),
    key,
    value: Buffer.from(JSON.stringify({ specversion: "1.0", id, source, type, subject, time, datacontenttype: "application/json", dataschema, data })),
    headers: [[Headers.contentType, cloudEventsJson], [Headers.position, id]],
    position
  }
}
