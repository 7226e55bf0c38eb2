import { Effect } from "effect"
import type { Sql } from "../connections/Postgres.ts"
import type { PostgresError } from "../connections/PostgresError.ts"
import { standingOf } from "./Announcing.ts"
import { makeBagStore } from "./BagStore.ts"
import type { ByGroup, GroupKey } from "./ByGroup.ts"
import { Contributions, correlationOf, never } from "./Contributions.ts"
import { crossingOf } from "./Crossing.ts"
import { type EntryStore, makeEntryStore, type StoredEntry } from "./EntryStore.ts"
import type { GroupAccumulator } from "./GroupState.ts"
import { makeGroupStore } from "./GroupStore.ts"
import { type LinkStore, makeLinkStore } from "./LinkStore.ts"
import type { WantedMirror } from "./MirrorWriter.ts"
import type { Contribution, Pipeline } from "./Pipeline.ts"
import { type Links, lockOrder, mirrorsOf, replace, type Replacement, type Work } from "./Replacements.ts"
import { entryId } from "./SourceReader.ts"
import type { StateTables } from "./StateTables.ts"
import type { WantedRow } from "./TargetWriter.ts"

/** The rows that follow from it. */
export interface Folded {
  /** By the name of their group. */
  readonly rows: ReadonlyMap<string, ReadonlyArray<WantedRow>>
  /** Groups whose row is ours from now on. */
  readonly newlyManaged: ReadonlyArray<GroupKey>
  readonly mirrors: ReadonlyArray<WantedMirror>
  /** Rows that stand for a later instant than state made them for: somebody else writes them, too (hard part 26). */
  readonly overwritten: number
}

/**
 * Folds work into state, in the caller's transaction: reads entries, locks links and then groups in sorted order, takes back
 * what entries contributed and adds what they contribute now, writes state. The caller holds the offsets of the partitions
 * that the changed entries come from, so nobody else changes those entries; everything else is under the locks taken here.
 */
export const makeFolding = (pipeline: Pipeline, tables: StateTables, isLive: boolean, evaluatedAt: EvaluatedAt) => {
  const entryStore = makeEntryStore(tables)
  const linkStore = makeLinkStore(tables)
  const groupStore = makeGroupStore(tables)
  const bagStore = makeBagStore(tables)
  const isPhased = pipeline.sources.some((source) => source.kind === "entries" && source.phases !== undefined)
  if (isPhased && Object.keys(pipeline.groups).length !== 1) {
    throw new Error(`Pipeline ${pipeline.name}: its entries have phases, so it must have one kind of group`) // `entries.group_key` names no other
  }

  const fold = Effect.fnUntraced(function*(sql: Sql, work: Work, instantOf: InstantOf): Effect.fn.Return<Folded, PostgresError> {
    const before = yield* readBefore(entryStore, sql, work)
    const links = yield* lockLinks(linkStore, sql, work, before)
    const dependents = yield* readDependents(entryStore, sql, work, links)
    const replacements = replace(work, before, dependents, links)

    const contributions = new Contributions(pipeline)
    const keys = lockOrder(contributions, replacements, work.groups)
    const groups = yield* groupStore.lock(sql, keys)
    const isNew = new Set(groups.values().filter((group) => group.evaluatedAt === 0n))
    const { now, overwritten } = yield* instants(sql, evaluatedAt, groups, instantOf)
    const current = isPhased ? new Map([...before, ...index(yield* entryStore.byKey(sql, movedOn(before, groups)))]) : before
    const due = isPhased ? yield* readDue(entryStore, sql, work, groups, now) : []

    const { inserted, updated } = foldReplacements(pipeline, contributions, replacements, current, groups, now)
    updated.push(...foldDue(contributions, due, groups, now))
    yield* entryStore.insert(sql, inserted)
    yield* entryStore.update(sql, updated)
    yield* entryStore.remove(sql, replacements.flatMap(({ after, before }) => after === null && before !== undefined ? [before] : []))
    yield* linkStore.write(sql, [...work.links.values()])
    if (isPhased) yield* setWakeTimes(entryStore, sql, [...inserted, ...updated], groups, now)

    const isUnused = (group: GroupAccumulator) => isNew.has(group) && !group.isManaged && !group.isChanged && group.isEmpty
    const unused = groups.values().filter(isUnused)
    const used = groups.values().filter((group) => !isUnused(group))
    yield* bagStore.write(sql, used)
    const rendered = render(pipeline, used, now, due, isLive)
    yield* groupStore.write(sql, used)
    yield* groupStore.removeUnused(sql, unused)
    return { ...rendered, overwritten, mirrors: mirrorsOf(pipeline, work, replacements, before, links) }
  })

  return { fold, entryStore, groupStore, linkStore }
}

/** The instants (µs) that the rows of these groups already stand for. */
export type EvaluatedAt = (sql: Sql, groups: ReadonlyArray<GroupKey>) => Effect.Effect<ReadonlyMap<GroupKey, bigint>, PostgresError>

/** The instant (µs) that a group is folded to, by the one that its row stands for, if it has one. Time never goes back for a group, whatever this says. */
export type InstantOf = (stored: bigint | undefined) => bigint

/** Now, and never before what the row stands for. */
export const asOf = (clock: bigint): InstantOf => (stored = 0n) => stored > clock ? stored : clock

/** What the row stands for, so that the two can be compared though time goes on; without one, now. */
export const asStored = (clock: bigint): InstantOf => (stored = clock) => stored > 0n ? stored : clock

const index = (entries: Iterable<StoredEntry>): Map<string, StoredEntry> => {
  const byId = new Map<string, StoredEntry>()
  for (const entry of entries) byId.set(entryId(entry), entry)
  return byId
}

const readBefore = (store: EntryStore, sql: Sql, work: Work) =>
  Effect.map(store.byKey(sql, [...work.entries.values(), ...work.mirrors]), index)

const lockLinks = Effect.fnUntraced(function*(
  store: LinkStore,
  sql: Sql,
  work: Work,
  before: ReadonlyMap<string, StoredEntry>
): Effect.fn.Return<Links, PostgresError> {
  const keys = new Set(work.links.keys())
  for (const entry of before.values()) if (entry.link !== null) keys.add(entry.link)
  for (const { entry } of work.entries.values()) if (entry?.link !== undefined) keys.add(entry.link)
  const stored = yield* store.lock(sql, [...keys].sort())
  return {
    before: (link) => (link === null ? null : stored.get(link) ?? null),
    after: (link) => {
      if (link === null) return null
      const written = work.links.get(link)
      return written === undefined ? stored.get(link) ?? null : written.value
    }
  }
})

/** The entries, outside of the batch, that hang on a link whose value changes. */
const readDependents = Effect.fnUntraced(function*(store: EntryStore, sql: Sql, work: Work, links: Links) {
  const moved = [...work.links.keys()].filter((link) => links.before(link) !== links.after(link))
  const dependents = yield* store.byLink(sql, moved)
  return dependents.filter((entry) => !work.entries.has(entryId(entry)))
})

const instants = Effect.fnUntraced(function*(
  sql: Sql,
  evaluatedAt: EvaluatedAt,
  groups: ByGroup<GroupAccumulator>,
  instantOf: InstantOf
) {
  const stored = yield* evaluatedAt(sql, groups.values())
  const now = new Map<GroupAccumulator, bigint>()
  let overwritten = 0
  for (const group of groups.values()) {
    const standsFor = stored.get(group)
    if (group.evaluatedAt > 0n && (standsFor ?? 0n) > group.evaluatedAt) overwritten++
    const instant = instantOf(standsFor)
    now.set(group, instant > group.evaluatedAt ? instant : group.evaluatedAt)
  }
  return { now, overwritten }
})

/** Entries that were read before their group was locked, and whose phase may have ended since: by then the group had come to that instant. */
const movedOn = (before: ReadonlyMap<string, StoredEntry>, groups: ByGroup<GroupAccumulator>): ReadonlyArray<StoredEntry> => {
  const byKey = ofOneKind(groups)
  return [...before.values()].filter(({ due }) => due !== null && due.at <= (byKey.get(due.groupKey)?.evaluatedAt ?? never))
}

/** By their keys: the groups of a pipeline whose entries have phases are all of one kind. */
const ofOneKind = (groups: ByGroup<GroupAccumulator>): ReadonlyMap<string, GroupAccumulator> =>
  new Map(groups.values().map((group) => [group.key, group]))

/** Entries, outside of the batch, of these groups whose phase has ended by the group's instant. */
const readDue = Effect.fnUntraced(function*(
  store: EntryStore,
  sql: Sql,
  work: Work,
  groups: ByGroup<GroupAccumulator>,
  now: ReadonlyMap<GroupAccumulator, bigint>
) {
  const waking = groups.values().filter((group) => group.wakeAt !== null && group.wakeAt <= now.get(group)!)
  const due = yield* store.due(sql, waking.map((group) => ({ key: group.key, now: now.get(group)! })))
  return due.filter((entry) => !work.entries.has(entryId(entry)))
})

const foldReplacements = (
  pipeline: Pipeline,
  contributions: Contributions,
  replacements: ReadonlyArray<Replacement>,
  current: ReadonlyMap<string, StoredEntry>,
  groups: ByGroup<GroupAccumulator>,
  now: ReadonlyMap<GroupAccumulator, bigint>
): { readonly inserted: Array<StoredEntry>; readonly updated: Array<StoredEntry> } => {
  const [inserted, updated]: [Array<StoredEntry>, Array<StoredEntry>] = [[], []]
  for (const { after, afterLink, before, beforeLink } of replacements) {
    const stored = before === undefined ? undefined : current.get(entryId(before)) ?? before
    const phase = after === null ? 0 : contributions.phaseOf(after, afterLink, instantIn(groups, now))
    const saysSame = stored !== undefined && after !== null && beforeLink === afterLink && JSON.stringify(stored.value) === JSON.stringify(after.value)
    if (!saysSame || stored.phase !== phase) {
      const taken = stored === undefined ? [] : contributions.of(stored, beforeLink, stored.phase)
      const added = after === null ? [] : contributions.of(after, afterLink, phase)
      takeBack(groups, taken)
      add(groups, added)
      if (!saysSame) putDownTo(groups, [...taken, ...added], correlationOf(pipeline, (after ?? stored)!))
    }
    // A dependent stays as it is stored; it belongs to whoever holds its partition.
    if (after === null || after === before) continue
    ;(before === undefined ? inserted : updated).push({ ...after, phase, due: contributions.dueOf(after, afterLink, phase) })
  }
  return { inserted, updated }
}

const foldDue = (
  contributions: Contributions,
  due: ReadonlyArray<StoredEntry>,
  groups: ByGroup<GroupAccumulator>,
  now: ReadonlyMap<GroupAccumulator, bigint>
): ReadonlyArray<StoredEntry> =>
  due.map((entry) => {
    const phase = contributions.phaseOf(entry, null, instantIn(groups, now))
    takeBack(groups, contributions.of(entry, null, entry.phase))
    add(groups, contributions.of(entry, null, phase))
    return { ...entry, phase, due: contributions.dueOf(entry, null, phase) }
  })

const instantIn = (groups: ByGroup<GroupAccumulator>, now: ReadonlyMap<GroupAccumulator, bigint>) => (group: GroupKey) =>
  now.get(groups.get(group)!)!

const add = (groups: ByGroup<GroupAccumulator>, contributions: ReadonlyArray<Contribution>): void => {
  for (const contribution of contributions) groups.get(contribution)!.add(contribution)
}

const takeBack = (groups: ByGroup<GroupAccumulator>, contributions: ReadonlyArray<Contribution>): void => {
  for (const contribution of contributions) groups.get(contribution)!.takeBack(contribution)
}

const putDownTo = (groups: ByGroup<GroupAccumulator>, contributions: ReadonlyArray<Contribution>, correlation: string | null): void => {
  for (const contribution of contributions) groups.get(contribution)!.putDownTo(correlation)
}

/** A group wakes when the first of its entries changes phase; too early costs one look, too late would be wrong. */
const setWakeTimes = Effect.fnUntraced(function*(
  store: EntryStore,
  sql: Sql,
  written: ReadonlyArray<StoredEntry>,
  groups: ByGroup<GroupAccumulator>,
  now: ReadonlyMap<GroupAccumulator, bigint>
) {
  const byKey = ofOneKind(groups)
  for (const { due } of written) {
    const group = due === null ? undefined : byKey.get(due.groupKey)
    if (group !== undefined && (group.wakeAt === null || due!.at < group.wakeAt)) group.wakeAt = due!.at
  }
  const woken = groups.values().filter((group) => group.wakeAt !== null && group.wakeAt <= now.get(group)!)
  for (const { due_at, key } of yield* store.firstDue(sql, woken.map((group) => group.key))) byKey.get(key)!.wakeAt = due_at
})

/** Renders the rows that are backed or managed, each for its group's instant; notes what is managed (by a live generation), and when to look again. */
const render = (
  pipeline: Pipeline,
  groups: ReadonlyArray<GroupAccumulator>,
  now: ReadonlyMap<GroupAccumulator, bigint>,
  due: ReadonlyArray<StoredEntry>,
  isLive: boolean
) => {
  const dueByKey = Map.groupBy(due, (entry) => entry.due!.groupKey)
  const rows = new Map<string, Array<WantedRow>>(Object.keys(pipeline.groups).map((name) => [name, []]))
  const newlyManaged: Array<GroupKey> = []
  for (const group of groups) {
    const from = group.evaluatedAt
    group.evaluatedAt = now.get(group)!
    const { announce, render } = pipeline.groups[group.group]!
    const { backed, columns, nextAt = null } = render(group, group.evaluatedAt)
    if (announce !== undefined) {
      const { correlations, evaluatedAt, hasCause } = group
      const crossing = () => crossingOf(pipeline, group.original(), dueByKey.get(group.key) ?? [], announce.column, from, evaluatedAt)
      const value = columns[announce.column] ?? null
      const before = isLive || group.standing?.value === value ? group.standing : null // what a candidate brings about is put down to it
      group.standing = standingOf(before, value, { hasChanged: isLive && hasCause, correlations, now: evaluatedAt, crossing })
    }
    if (nextAt !== null && nextAt <= never && (group.wakeAt === null || nextAt < group.wakeAt)) group.wakeAt = nextAt
    if (isLive && backed && !group.isManaged) {
      group.isManaged = true
      newlyManaged.push({ group: group.group, key: group.key })
    }
    if (group.isManaged || backed) rows.get(group.group)!.push({ key: group.key, columns, required: backed, now: group.evaluatedAt, standing: group.standing })
  }
  return { rows, newlyManaged }
}

