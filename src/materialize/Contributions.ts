import type { StoredEntry } from "./EntryStore.ts"
import type { GroupKey } from "./ByGroup.ts"
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

/** Postgres' greatest bigint: a phase that ends later never ends. */
export const never = 2n ** 63n - 1n

/** What has been made of an entry. */
interface Made {
  readonly link: string | null
  readonly ends: ReadonlyArray<bigint>
  readonly byPhase: Array<ReadonlyArray<Contribution> | undefined>
}

/** What the entries of one fold contribute. It is asked for some five times per entry, and is made once. */
export class Contributions {
  readonly #pipeline: Pipeline
  readonly #made = new Map<Valued, Made>()

  constructor(pipeline: Pipeline) {
    this.#pipeline = pipeline
  }

  of(entry: Valued, link: string | null, phase: number): ReadonlyArray<Contribution> {
    const made = this.#of(entry, link)
    return made.byPhase[phase] ??= contributionsOf(this.#pipeline, entry, link, phase)
  }

  /** How many of its phases have ended at its group's instant. */
  phaseOf(entry: Valued, link: string | null, instantOf: (group: GroupKey) => bigint): number {
    const { ends } = this.#of(entry, link)
    const first = ends.length === 0 ? undefined : this.of(entry, link, 0)[0]
    if (first === undefined) return 0
    const instant = instantOf(first)
    return ends.filter((end) => end <= instant).length
  }

  /** When the entry changes phase next, and with it which group. */
  dueOf(entry: Valued, link: string | null, phase: number): StoredEntry["due"] {
    const at = this.#of(entry, link).ends[phase]
    return at === undefined || at > never ? null : { at, groupKey: this.of(entry, link, 0)[0]!.key }
  }

  #of(entry: Valued, link: string | null): Made {
    const known = this.#made.get(entry)
    if (known !== undefined && known.link === link) return known
    const made = { link, ends: phaseEndsOf(this.#pipeline, entry), byPhase: [] }
    this.#made.set(entry, made)
    return made
  }
}
