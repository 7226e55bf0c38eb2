import type { Table } from "./Database.ts"
import { between, type Difference } from "./Differences.ts"
import { type Event, identityOf, isSynthetic, operationOf, ordinalOf } from "./Event.ts"
import { isObject, type Json } from "./Json.ts"
import { explaining, type Place, type Rule, unmet } from "./Rules.ts"

/** Counted beside the rules: what only the order or number of events shows. */
export const readsReordered = "read: the order of a table's rows"
export const truncate = "TRUNCATE: no record; one in every partition"
export const swept = "TRUNCATE: no record; synthetic deletes and tombstones of the rows"

export interface Finding extends Difference {
  readonly what: "differs" | "missing" | "unexpected"
  /** The event's place among theirs (missing, differs) or ours (unexpected), from 0. */
  readonly index: number
  readonly identity: string
}

export interface Comparison {
  /** Pairs of events that were held against each other. */
  readonly events: number
  /** How often each rule explained a difference. */
  readonly used: ReadonlyMap<string, number>
  readonly findings: ReadonlyArray<Finding>
}

export interface Writes {
  readonly table: Table
  /** Committed TRUNCATEs of the table. */
  readonly truncates: number
  readonly ordinals: { readonly ofTable: TruncateOrdinals; readonly ofAll: TruncateOrdinals }
}

/** The ordinals that TRUNCATEs have in their transactions, by transaction. */
export type TruncateOrdinals = ReadonlyMap<string, ReadonlySet<number>>

/** Compares one partition of a table's topic with its counterpart. */
export const comparePartition = (writes: Writes, theirs: ReadonlyArray<Event>, ours: ReadonlyArray<Event>): Comparison => {
  const used = new Map<string, number>()
  const findings: Array<Finding> = []
  const count = (rule: string, times: number) => times > 0 && used.set(rule, (used.get(rule) ?? 0) + times)

  const ourRows = ours.filter((event) => operationOf(event) !== "t")
  const truncates = ours.length - ourRows.length
  count(truncate, truncates)
  if (truncates !== writes.truncates) findings.push(finding("differs", 0, "TRUNCATEs", String(writes.truncates), String(truncates)))
  const captured = writes.truncates > 0 ? withoutSwept(ourRows) : ourRows
  count(swept, ourRows.length - captured.length)

  const [left, right] = [readsByKey(theirs), readsByKey(captured)]
  count(readsReordered, readsInOrder(theirs) === readsInOrder(captured) ? 0 : 1)
  let events = 0
  for (const [index, theirEvent, ourEvent] of paired(left, right)) {
    if (theirEvent === undefined || ourEvent === undefined) {
      findings.push(finding(ourEvent === undefined ? "missing" : "unexpected", index, identityOf(theirEvent ?? ourEvent!)))
      continue
    }
    events++
    const compared = compareEvents(theirEvent, ourEvent, placeOf(writes, theirEvent, ourEvent))
    for (const [{ name }, times] of compared.used) count(name, times)
    for (const difference of compared.differences) findings.push({ ...difference, what: "differs", index, identity: identityOf(theirEvent) })
  }
  return { events, used, findings }
}

/** Of our events; each TRUNCATE is in every partition of its topic. */
export const truncateOrdinals = (ours: Iterable<Event>): TruncateOrdinals => {
  const ordinals = new Map<string, Set<number>>()
  for (const event of ours) {
    if (operationOf(event) !== "t") continue
    const { order, xid } = ordinalOf(event)!
    ordinals.set(xid, (ordinals.get(xid) ?? new Set()).add(order))
  }
  return ordinals
}

/** What no rule explains, and what a rule should have explained. */
const compareEvents = (theirs: Event, ours: Event, place: Place) => {
  const used = new Map<Rule, number>()
  const differences = [...between(theirs, ours)].filter((difference) => {
    const rule = explaining(difference, place)
    if (rule !== undefined) used.set(rule, (used.get(rule) ?? 0) + 1)
    return rule === undefined
  })
  const due = unmet(place, used).map((rule): Difference => ({ path: ["(due)", rule.name], theirs: String(rule.due!(place)), ours: String(used.get(rule) ?? 0) }))
  return { used, differences: [...differences, ...due] }
}

const placeOf = (writes: Writes, theirs: Event, ours: Event): Place => ({
  table: writes.table,
  operation: operationOf(theirs),
  truncatesBefore: truncatesBefore(writes, theirs, ours),
  images: ["before", "after"].filter((image) => isObject(theirs.value) && isObject(theirs.value[image])).length
})

const truncatesBefore = ({ ordinals }: Writes, theirs: Event, ours: Event): Place["truncatesBefore"] => {
  const [order, xid] = [ordinalOf(ours)?.order, ordinalOf(theirs)?.xid]
  const before = (truncates: TruncateOrdinals) =>
    order === undefined || xid === undefined ? 0 : [...truncates.get(xid) ?? []].filter((truncate) => truncate <= order).length
  return { total_order: before(ordinals.ofAll), data_collection_order: before(ordinals.ofTable) }
}

/** Without the deletes that are marked as synthetic, and each one's tombstone. */
const withoutSwept = (events: ReadonlyArray<Event>): ReadonlyArray<Event> =>
  events.filter((event, index) => !isSynthetic(event) && !(event.value === null && index > 0 && isSynthetic(events[index - 1]!)))

const finding = (what: Finding["what"], index: number, identity: string, theirs?: Json, ours?: Json): Finding => ({ what, index, identity, path: [], theirs, ours })

const isRead = (event: Event): boolean => operationOf(event) === "r"
const readsInOrder = (events: ReadonlyArray<Event>): string => events.filter(isRead).map(({ key }) => key).join("\n")

/** Reads of a snapshot may come in any order, as each has a key of its own; where there is none, they stay as they are. */
const readsByKey = (events: ReadonlyArray<Event>): ReadonlyArray<Event> => {
  const reads = events.filter(isRead)
  if (reads.some(({ key }) => key === null)) return events
  reads.sort((a, b) => a.key! < b.key! ? -1 : a.key! > b.key! ? 1 : 0)
  let next = 0
  return events.map((event) => isRead(event) ? reads[next++]! : event)
}

/** How far is looked for the counterpart of an event before it is called missing or unexpected. */
const lookahead = 500

/** Both in their order, side by side; undefined where one has no counterpart. */
function* paired(theirs: ReadonlyArray<Event>, ours: ReadonlyArray<Event>): Iterable<readonly [index: number, theirs?: Event | undefined, ours?: Event | undefined]> {
  const [left, right] = [theirs.map(identityOf), ours.map(identityOf)]
  let [i, j] = [0, 0]
  while (i < left.length || j < right.length) {
    if (left[i] === right[j]) {
      yield [i, theirs[i++], ours[j++]]
      continue
    }
    const skipped = distance(left, i, right[j])
    const added = distance(right, j, left[i])
    if (skipped === Infinity && added === Infinity && i < left.length && j < right.length) yield [i, theirs[i++], ours[j++]] // neither is elsewhere: they differ
    else if (added < skipped || i === left.length) yield [j, undefined, ours[j++]]
    else yield [i, theirs[i++], undefined]
  }
}

const distance = (identities: ReadonlyArray<string>, from: number, identity: string | undefined): number => {
  if (identity === undefined) return Infinity
  const found = identities.slice(from, from + lookahead).indexOf(identity)
  return found === -1 ? Infinity : found
}
