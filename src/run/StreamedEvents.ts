import { Effect } from "effect"
import type { Mark } from "../capture/ChangeReader.ts"
import type { OutgoingRecord } from "../domain/OutgoingRecord.ts"
import { encodeEvent, type EventEncoderOptions, type LeftOut } from "../publish/EventEncoder.ts"
import { CaptureObserver } from "./CaptureObserver.ts"

export interface EventOptions extends EventEncoderOptions {
  readonly epoch: number
}

/** Events that the stream brings. Anybody may write messages under our prefix: one that can't be used is counted, and stops nothing. */
export const make = (options: EventOptions) => {
  let records: Array<OutgoingRecord> = []
  const leftOut = new Map<LeftOut, number>()

  return {
    add: ({ content, event }: Mark): void => {
      if (event === undefined) return
      const { order, transaction: { commitLsn } } = event
      const record = encodeEvent(options, content, { epoch: options.epoch, commitLsn, order })
      if (typeof record === "string") leftOut.set(record, (leftOut.get(record) ?? 0) + 1)
      else records.push(record)
    },

    /** Those since the last call. */
    take: (): ReadonlyArray<OutgoingRecord> => {
      const taken = records
      if (taken.length > 0) records = []
      return taken
    },

    /** Of those that are left out, once per stretch of the stream. */
    report: Effect.suspend(() => leftOut.size === 0 ? Effect.void : Effect.gen(function*() {
      const observer = yield* CaptureObserver
      for (const [reason, count] of leftOut) {
        if (reason === "announced-again") continue
        observer.deadLetters(reason, count)
        yield* Effect.logError(why[reason], { count })
      }
      leftOut.clear()
    }))
  }
}

const why = {
  "event-not-readable": "messages in the WAL under our prefix are no events, and are left out",
  "event-without-topic": "events have no topic to go to, and are left out: is it in kafka.eventTopics, and has `cdc setup` made it?",
  "event-too-large": "events are larger than their topic takes, and are left out: raise its max.message.bytes"
} as const
