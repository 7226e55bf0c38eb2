import type { Contributions } from "./Contributions.ts"
import type { StoredEntry } from "./EntryStore.ts"
import { type GroupKey, inLockOrder } from "./ByGroup.ts"
import type { LinkWrite } from "./LinkStore.ts"
import type { WantedMirror } from "./MirrorWriter.ts"
import type { EntrySource, Pipeline } from "./Pipeline.ts"
import { type EntryChange, entryId } from "./SourceReader.ts"

/** What a transaction is to fold into state. */
export interface Work {
  readonly entries: ReadonlyMap<string, EntryChange>
  readonly links: ReadonlyMap<string, LinkWrite>
  /** Groups to be rendered again though nothing is contributed to them. */
  readonly groups: ReadonlyArray<GroupKey>
  /** Groups whose row, if it was there and is missing, has been left so for long enough. */
  readonly rested: ReadonlyArray<GroupKey>
  /** Entries whose mirror row is to be written again. */
  readonly mirrors: ReadonlyArray<{ readonly source: number; readonly key: string }>
}

/** To be filled in: nothing to do. */
export const noWork: Work = { entries: new Map(), links: new Map(), groups: [], rested: [], mirrors: [] }

/** An entry before and after: what it contributed is taken back, what it contributes now is added. */
export interface Replacement {
  readonly before: StoredEntry | undefined
  readonly beforeLink: string | null
  readonly after: Omit<StoredEntry, "phase" | "due"> | null
  readonly afterLink: string | null
}

/** The value of a link before the work and after it; an entry without a link has null. */
export interface Links {
  readonly before: (link: string | null) => string | null
  readonly after: (link: string | null) => string | null
}

/** The batch's changes, and the entries outside of it whose link changes. */
export const replace = (
  work: Work,
  before: ReadonlyMap<string, StoredEntry>,
  dependents: ReadonlyArray<StoredEntry>,
  links: Links
): ReadonlyArray<Replacement> => {
  const replacements: Array<Replacement> = []
  for (const [id, change] of work.entries) {
    const stored = before.get(id)
    if (stored === undefined && change.entry === null) continue
    const link = change.entry?.link ?? null
    replacements.push({
      before: stored,
      beforeLink: links.before(stored?.link ?? null),
      after: change.entry === null ? null : { ...change, value: change.entry.value, link },
      afterLink: links.after(link)
    })
  }
  for (const entry of dependents) {
    replacements.push({ before: entry, beforeLink: links.before(entry.link), after: entry, afterLink: links.after(entry.link) })
  }
  return replacements
}

/** The groups that the work reads or writes, in lock order. */
export const lockOrder = (contributions: Contributions, replacements: ReadonlyArray<Replacement>, others: ReadonlyArray<GroupKey>): ReadonlyArray<GroupKey> => {
  const groups = [...others]
  for (const { after, afterLink, before, beforeLink } of replacements) {
    if (before !== undefined) groups.push(...contributions.of(before, beforeLink, before.phase))
    if (after !== null) groups.push(...contributions.of(after, afterLink, 0))
  }
  return inLockOrder(groups)
}

/** The mirror rows that follow. */
export const mirrorsOf = (
  pipeline: Pipeline,
  work: Work,
  replacements: ReadonlyArray<Replacement>,
  before: ReadonlyMap<string, StoredEntry>,
  links: Links
): ReadonlyArray<WantedMirror> => {
  if (pipeline.mirror === undefined) return []
  const wanted = new Map<string, WantedMirror>()
  const want = (entry: { readonly source: number; readonly key: string; readonly value: unknown }, link: string | null, mayBeThere: boolean) => {
    const source = pipeline.sources[entry.source] as EntrySource
    if (source.mirror === undefined) return
    wanted.set(entryId(entry), { source: entry.source, key: entry.key, columns: source.mirror(entry.value as never, link), mayBeThere })
  }
  const unwant = ({ key, source }: { readonly source: number; readonly key: string }) => {
    if ((pipeline.sources[source] as EntrySource).mirror === undefined) return
    wanted.set(entryId({ source, key }), { source, key, columns: null, mayBeThere: false })
  }
  for (const mirror of work.mirrors) {
    const entry = before.get(entryId(mirror))
    if (entry === undefined) unwant(mirror)
    else want(entry, links.after(entry.link), true)
  }
  for (const { after, afterLink, before } of replacements) {
    if (after === null) unwant(before!)
    else want(after, afterLink, work.entries.get(entryId(after))?.isRead === true)
  }
  return [...wanted.values()]
}
