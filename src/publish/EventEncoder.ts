import * as EventMessage from "../domain/EventMessage.ts"
import * as Headers from "../domain/Headers.ts"
import type * as Lsn from "../domain/Lsn.ts"
import type { OutgoingRecord } from "../domain/OutgoingRecord.ts"
import * as Position from "../domain/Position.ts"
import * as TopicName from "../domain/TopicName.ts"
import { partitionOf } from "./Router.ts"
import { bytesOf } from "./SendPlan.ts"

export interface EventEncoderOptions {
  readonly topicPrefix: string
  /** Those of events that are there, by name. */
  readonly topics: ReadonlyMap<string, EventTopic>
}

export interface EventTopic {
  readonly partitions: number
  /** The largest record that may be sent to it. */
  readonly maxRecordBytes: number
  /** What commits below this is announced again. */
  readonly from: Lsn.Lsn
}

/** Why nothing is published of a message: it is none of ours; its topic is not configured, or gone; it is larger than its topic takes; its news is announced again. */
export type LeftOut = "announced-again" | "event-not-readable" | "event-without-topic" | "event-too-large"

/** `content-type` of an event in CloudEvents' structured mode. */
export const cloudEventsJson = "application/cloudevents+json; charset=UTF-8"

/**
 * The record of an event found in the stream, or why there is none: whatever the message holds, it never throws. The value is a
 * CloudEvent 1.0 in JSON. `position` is its `id`, which is the same on every replay of the stream, and a header as well, so that the
 * end of a partition can be read back like a table's.
 */
export const encodeEvent = (options: EventEncoderOptions, content: string, position: Position.Position): OutgoingRecord | LeftOut => {
  const message = EventMessage.decode(content)
  if (message === undefined) return "event-not-readable"
  const topic = TopicName.ofEvents(options.topicPrefix, message.topic)
  const found = options.topics.get(topic)
  if (found === undefined) return "event-without-topic"
  if (position.commitLsn < found.from) return "announced-again"
  const id = Position.format(position)
  const value = valueOf(message, id, `/${options.topicPrefix}/${message.announced.pipeline}`)
  const key = textOf(message.key)
  if (value === undefined || key === undefined) return "event-not-readable"
  const record: OutgoingRecord = {
    topic,
    partition: partitionOf(key, found.partitions),
    key,
    value,
    headers: [
      [Headers.contentType, cloudEventsJson],
      [Headers.position, id],
      [Headers.announced, EventMessage.encodeAnnounced(message.announced)]
    ],
    position
  }
  return bytesOf(record) > found.maxRecordBytes ? "event-too-large" : record
}

const valueOf = ({ attributes }: EventMessage.EventMessage, id: string, source: string): Buffer | undefined => {
  const { data, dataschema, subject, time, type } = attributes
  return textOf({ specversion: "1.0", id, source, type, subject, time, datacontenttype: "application/json", dataschema, data })
}

/** undefined: nested deeper than the stack is; reading JSON does not mind that, writing it does. */
const textOf = (value: unknown): Buffer | undefined => {
  try {
    return Buffer.from(JSON.stringify(value))
  } catch {
    return undefined
  }
}
