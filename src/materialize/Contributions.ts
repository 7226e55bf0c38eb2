import type { StoredEntry } from "./EntryStore.ts"
import type { GroupKey } from "./GroupStore.ts"
import type { Contribution, EntrySource, Pipeline } from "./Pipeline.ts"

/** An entry as far as its contributions go. */
export type Valued = { readonly source: number; readonly value: unknown }

/** What an entry contributes in a phase, given the value of its link. */
export const contributionsOf = (
  pipeline: Pipeline,
  entry: Valued,
  link: string | null,
  phase: number
): ReadonlyArray<Contribution> => (pipeline.sources[entry.source] as EntrySource).contribute(entry.value as never, link, phase)

/** What an event that follows from it names as its cause. */
export const correlationOf = (pipeline: Pipeline, entry: Valued): string | null =>
  (pipeline.sources[entry.source] as EntrySource).correlation?.(entry.value as never) ?? null

/** The instants (µs) at which its phases end. */
export const phaseEndsOf = (pipeline: Pipeline, entry: Valued): ReadonlyArray<bigint> =>
  (pipeline.sources[entry.source] as EntrySource).phases?.(entry.value as never) ?? []

/** How many of its phases have ended at its group's instant. */
export const phaseOf = (pipeline: Pipeline, entry: Valued, link: string | null, instantOf: (group: GroupKey) => bigint): number => {
  const ends = phaseEndsOf(pipeline, entry)
  const [first] = ends.length === 0 ? [] : contributionsOf(pipeline, entry, link, 0)
  if (first === undefined) return 0
  const instant = instantOf(first)
  return ends.filter((end) => end <= instant).length
}

/** Postgres' greatest bigint: a phase that ends later never ends. */
export const never = 2n ** 63n - 1n

/** When the entry changes phase next, and with it which group. */
export const dueOf = (pipeline: Pipeline, entry: Valued, link: string | null, phase: number): StoredEntry["due"] => {
  const at = phaseEndsOf(pipeline, entry)[phase]
  return at === undefined || at > never ? null : { at, groupKey: contributionsOf(pipeline, entry, link, 0)[0]!.key }
}
