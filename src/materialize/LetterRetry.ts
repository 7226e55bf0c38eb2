import { Effect } from "effect"
import type { Sql } from "../connections/Postgres.ts"
import type { BadInput, RawRecord, SourceChange } from "../domain/SourceChange.ts"
import type { makeLetterStore } from "./LetterStore.ts"
import type { Reading } from "./SourceReader.ts"

/** A dead letter's record, read once more. */
export interface Reread {
  readonly record: RawRecord
  readonly read: SourceChange | BadInput
}

/** What became of letters. */
export interface Retried {
  readonly applied: number
  /** Open no longer when their turn came: a later change, or somebody else's retry, was applied. */
  readonly closed: number
  readonly stillBad: ReadonlyArray<BadInput>
}

/** Letters that are still the last word on their keys, and what of them can be applied. */
export interface Retriable {
  readonly changes: ReadonlyArray<SourceChange>
  readonly bad: ReadonlyArray<{ readonly record: RawRecord; readonly why: BadInput }>
}

/**
 * Sorts rereads by what may be done with them, given the keys of those that are open. Of a letter whose key could not be read
 * nothing tells whether a later change of its row was applied, so it is never applied. Pure.
 */
export const retriable = (rereads: ReadonlyArray<Reread>, open: ReadonlyMap<bigint, string | null>): Retriable => {
  const changes: Array<SourceChange> = []
  const bad: Array<{ record: RawRecord; why: BadInput }> = []
  for (const { read, record } of rereads) {
    if (!open.has(record.offset)) continue
    if ("reason" in read) bad.push({ record, why: read })
    else if (read.kind === "truncate") bad.push({ record, why: truncateTooLate })
    else if (open.get(record.offset) !== read.key) bad.push({ record, why: keyUnknown })
    else changes.push(read)
  }
  return { changes: changes.sort((a, b) => (a.record.offset < b.record.offset ? -1 : 1)), bad }
}

const keyUnknown: BadInput = {
  reason: "key-unknown",
  message: "its key was not readable when it was set aside, so nothing tells whether its row has changed since; `cdc snapshot TABLE` reads the rows again"
}
const truncateTooLate: BadInput = { reason: "truncate-too-late", message: "a TRUNCATE can't be applied after what came later; `cdc snapshot TABLE` reads the rows again" }

/** Notes what a retry found, in its transaction: what was applied is closed, and so is what it makes void; the rest gets its new reason. */
export const noteRetried = Effect.fnUntraced(function*(
  sql: Sql,
  letters: ReturnType<typeof makeLetterStore>,
  place: { readonly topic: string; readonly partition: number },
  { bad, changes }: Retriable,
  reading: Reading
) {
  const refused = [...bad, ...reading.bad]
  const isRefused = new Set(refused.map(({ record }) => record))
  const good = changes.filter(({ record }) => !isRefused.has(record))
  yield* letters.applied(sql, place.topic, place.partition, good.map(({ record }) => record.offset))
  yield* letters.supersede(sql, () => spokenBy(changes, reading))
  yield* letters.refused(sql, refused)
  return { applied: good.length, stillBad: refused.map(({ why }) => why) }
})

/** The keys on which these changes are the last word: all but those whose row could not be read. */
export const spokenBy = (changes: ReadonlyArray<SourceChange>, { bad }: Reading) => {
  const unread = new Set(bad.filter(({ isSuspect }) => isSuspect).map(({ record }) => record))
  return changes.flatMap((change) => {
    if (change.kind === "truncate" || unread.has(change.record)) return []
    const { offset, partition, topic } = change.record
    return [{ topic, partition, offset, key: change.key }]
  })
}
