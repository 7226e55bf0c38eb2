import type { Standing } from "./Announcing.ts"
import type { Contribution, GroupState } from "./Pipeline.ts"

/** What is stored of a group, as JSON: sums as decimal text (they are bigints), bags as [distinct members, greatest member]. */
interface Stored {
  readonly s: Record<string, string>
  readonly b: Record<string, [distinct: number, max: string | null]>
}

/**
 * One group while a batch is folded into it: its sums and bags, and how the batch changes the members of its bags.
 * Pure: `BagStore` applies `bagDeltas` and reports back with `settleBag`.
 */
export class GroupAccumulator implements GroupState {
  readonly group: string
  readonly key: string
  /** Latest instant (µs) that its row was rendered for. */
  evaluatedAt: bigint
  /** When time alone changes it (µs): an entry's phase, or what its row must say; null: never. May be too early, never too late. */
  wakeAt: bigint | null
  /** bag → member → how many more times it is there now. */
  readonly bagDeltas = new Map<string, Map<string, number>>()
  /** Its row was backed once: it is ours for good. */
  isManaged: boolean
  /** Its row was made in this transaction. */
  isNew = false
  /** Something was contributed or taken back. */
  isChanged = false
  /** How its announced column came to be as it is; null: not known, or it announces nothing. */
  standing: Standing | null
  /** A source row's change moved it, and what such changes are put down to. */
  hasCause = false
  #correlations: Set<string> | undefined
  /** What it was made of. */
  readonly #stored: string
  readonly #sums = new Map<string, bigint>()
  readonly #bags = new Map<string, { distinct: number; max: string | null }>()

  constructor(group: string, key: string, state: string, evaluatedAt: bigint, wakeAt: bigint | null, isManaged: boolean, standing: Standing | null = null) {
    const stored = state === emptyState ? nothingStored : JSON.parse(state) as Stored
    this.group = group
    this.key = key
    this.evaluatedAt = evaluatedAt
    this.wakeAt = wakeAt
    this.isManaged = isManaged
    this.standing = standing
    this.#stored = state
    for (const name in stored.s) this.#sums.set(name, BigInt(stored.s[name]!))
    for (const name in stored.b) this.#bags.set(name, { distinct: stored.b[name]![0], max: stored.b[name]![1] })
  }

  /** One whose row has just been made. */
  static ofNothing({ group, key }: { readonly group: string; readonly key: string }): GroupAccumulator {
    const made = new GroupAccumulator(group, key, emptyState, 0n, null, false)
    made.isNew = true
    return made
  }

  sum(name: string): bigint {
    return this.#sums.get(name) ?? 0n
  }

  get sums(): Iterable<string> {
    return this.#sums.keys()
  }

  bag(name: string): { readonly distinct: number; readonly max: string | null } {
    return this.#bags.get(name) ?? emptyBag
  }

  /** Nothing contributes to it. */
  get isEmpty(): boolean {
    return this.#sums.size === 0 && this.#bags.size === 0
  }

  /** As it was before anything was folded into it. */
  original(): GroupAccumulator {
    return new GroupAccumulator(this.group, this.key, this.#stored, this.evaluatedAt, this.wakeAt, this.isManaged, this.standing)
  }

  /** A source row's change moves it. */
  putDownTo(correlation: string | null): void {
    this.hasCause = true
    if (correlation !== null) (this.#correlations ??= new Set()).add(correlation)
  }

  get correlations(): Iterable<string> {
    return this.#correlations ?? []
  }

  add(contribution: Contribution): void {
    this.#change(contribution, 1)
  }

  takeBack(contribution: Contribution): void {
    this.#change(contribution, -1)
  }

  #change(contribution: Contribution, step: 1 | -1): void {
    this.isChanged = true
    const { bags, sums } = contribution
    for (const name in sums) {
      const before = this.#sums.get(name) ?? 0n
      const sum = step > 0 ? before + sums[name]! : before - sums[name]!
      if (sum === 0n) this.#sums.delete(name)
      else this.#sums.set(name, sum)
    }
    for (const bag in bags) {
      const member = bags[bag]!
      const deltas = this.bagDeltas.get(bag) ?? new Map<string, number>()
      this.bagDeltas.set(bag, deltas)
      const delta = (deltas.get(member) ?? 0) + step
      if (delta === 0) deltas.delete(member)
      else deltas.set(member, delta)
    }
  }

  /** What the stored bag says after the batch: its distinct members and its greatest. */
  settleBag(bag: string, distinct: number, max: string | null): void {
    if (distinct === 0) this.#bags.delete(bag)
    else this.#bags.set(bag, { distinct, max })
  }

  toJson(): string {
    const stored: Stored = { s: {}, b: {} }
    for (const [name, sum] of this.#sums) stored.s[name] = String(sum)
    for (const [name, { distinct, max }] of this.#bags) stored.b[name] = [distinct, max]
    return JSON.stringify(stored)
  }
}

export const emptyState = `{"s":{},"b":{}}`
const nothingStored: Stored = { s: {}, b: {} }
const emptyBag = { distinct: 0, max: null }
