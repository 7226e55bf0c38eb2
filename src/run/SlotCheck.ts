import { Effect } from "effect"
import { CaptureError } from "../capture/CaptureError.ts"
import type { CaptureRecord, CaptureState, Identity as Remembered } from "../capture/CaptureState.ts"
import * as Identity from "../capture/Identity.ts"
import type { Publication } from "../capture/Publication.ts"
import type { Slot } from "../capture/Slot.ts"
import * as SlotState from "../capture/SlotState.ts"
import { Postgres } from "../connections/Postgres.ts"
import type { PostgresError } from "../connections/PostgresError.ts"

/** A slot that may be read: everything is as remembered. */
export interface UsableSlot {
  readonly record: CaptureRecord
  readonly slot: Slot
  readonly publication: Publication
  /** What the journal is to say: as found, or for the first time. */
  readonly entry: SlotState.JournalEntry
  /** One of the two sides remembers its row, or its owner, otherwise than `entry` says. */
  readonly isPublicationNews: boolean
}

type Known<E> = Parameters<typeof Identity.look<E>>[2]

/** What is known of a slot, and what state that is. Changes nothing. */
export const look = Effect.fnUntraced(function*<E>(state: CaptureState, names: SlotState.Names, known: Known<E>) {
  const facts = yield* Identity.look(state, names, known)
  return { facts, state: SlotState.judge(facts) }
})

/** Fails, with what happened and the remedy, unless the slot may be read or waited for. */
export const check = Effect.fnUntraced(function*<E>(
  state: CaptureState,
  names: SlotState.Names,
  known: Known<E>
): Effect.fn.Return<UsableSlot, CaptureError | PostgresError | E, Postgres> {
  const { facts, state: found } = yield* look(state, names, known)
  const refusal = refusalOf(found, names)
  if (refusal !== undefined) return yield* refusal
  const record = facts.record!
  const slot = facts.slot!
  const publication = facts.publication!
  const isNews = ({ publicationOwner, publicationXmin }: Remembered) => publicationXmin !== publication.xmin || publicationOwner !== publication.owner
  return {
    record,
    slot,
    publication,
    isPublicationNews: [record, ...(facts.journal === undefined ? [] : [facts.journal])].some(isNews),
    entry: {
      systemIdentifier: record.systemIdentifier,
      database: record.database,
      publicationOid: publication.oid,
      publicationXmin: publication.xmin,
      publicationOwner: publication.owner,
      epoch: record.epoch,
      timeline: facts.server.timeline,
      confirmed: facts.journal?.epoch === record.epoch ? facts.journal.confirmed : slot.confirmedFlush
    }
  }
})

/** The error of a state in which nothing may go on; undefined: it may. */
export const refusalOf = (state: SlotState.SlotState, names: SlotState.Names): CaptureError | undefined => {
  const { exitCode } = SlotState.outcomes[state._tag]
  if (exitCode === undefined) return undefined
  return new CaptureError({ reason: exitCode === 3 ? "notSetUp" : "gap", message: SlotState.describe(state, names) })
}

/** How soon a publication that is dropped or altered, or a slot that is gone, shows while nothing is decoded. */
const watchEveryMillis = 2_000

/**
 * Checks again and again while the slot is read; fails as `checkHeld` does. On 18, a publication that is gone is silence in the stream.
 * `last`: as it is journalled now.
 */
export const watch = (
  state: CaptureState,
  names: SlotState.Names,
  last: () => SlotState.JournalEntry
): Effect.Effect<never, CaptureError | PostgresError, Postgres> =>
  Effect.forever(Effect.gen(function*() {
    yield* Effect.sleep(watchEveryMillis)
    const known = { journal: Effect.sync(last), tail: undefined }
    const { state: found } = yield* look(state, names, { ...known, isReader: true })
    // Nobody can move a slot that we read: so this process was frozen, and replaced. The journal knows more than we remember of it.
    if (found._tag === "slotMoved") {
      return yield* new CaptureError({ reason: "interrupted", message: `Replication slot ${names.slot} was read by another process meanwhile` })
    }
    const { entry } = yield* checkHeld(state, names, known, last().epoch)
    if (entry.publicationXmin !== last().publicationXmin) {
      return yield* new CaptureError({ reason: "interrupted", message: `Publication ${names.publication} has another owner; what it publishes is the same` })
    }
  }))

/** As `check`, by who reads the slot under `epoch`; a later one is retryable: the session begins again, under that. */
export const checkHeld = Effect.fnUntraced(function*<E>(
  state: CaptureState,
  names: SlotState.Names,
  known: Omit<Known<E>, "isReader">,
  epoch: number
): Effect.fn.Return<UsableSlot, CaptureError | PostgresError | E, Postgres> {
  const usable = yield* check(state, names, { ...known, isReader: true })
  if (usable.record.epoch === epoch) return usable
  return yield* new CaptureError({ reason: "interrupted", message: `Replication slot ${names.slot} was made anew by \`cdc setup --resnapshot\` meanwhile` })
})
