import { cutOf, lossOf, type TopicIdentity } from "../domain/TopicIdentity.ts"
import type { Acknowledgement } from "./TopicIdentities.ts"

/**
 * How far each partition is known to have reached, in this session: from looking at it, and from what Kafka answers to each send.
 * An end never goes back, unless records that were acknowledged are lost (an unclean leader election, a restored disk): the next
 * batch then lies before the last one.
 */
export class KnownEnds {
  readonly #topics: ReadonlyMap<string, { readonly id: string; readonly ends: Array<bigint> }>
  /** By answers alone: a look may see a batch whose answer is still on its way. */
  readonly #answered: ReadonlyMap<string, { readonly ends: Array<bigint> }>
  readonly #losses = new Map<string, string>()

  /** Before anything is sent. */
  constructor(seen: ReadonlyMap<string, TopicIdentity>) {
    this.#topics = copyOf(seen)
    this.#answered = copyOf(seen)
  }

  /** By topic, why it may lack what it once had. */
  get losses(): ReadonlyMap<string, string> {
    return this.#losses
  }

  /** As it is known now; what is acknowledged later does not change it. */
  get now(): ReadonlyMap<string, TopicIdentity> {
    return copyOf(this.#topics)
  }

  /** Once per send, not per record. Only a batch's first record is counted: logs are cut between batches. */
  acknowledged(batches: ReadonlyArray<Acknowledgement>): void {
    for (const { offset, partition, topic } of batches) {
      const answered = this.#answered.get(topic)?.ends
      if (answered === undefined || offset < 0n) continue // a repeated send may be answered without an offset
      const last = answered[partition] ?? 0n
      if (offset < last) this.#losses.set(topic, cutOf(topic, partition, offset, last))
      answered[partition] = offset + 1n
      this.#extend(topic, answered)
    }
  }

  /** Compares with a look at the topics. `before` is what was known when it began: what is acknowledged meanwhile must not count. */
  observed(before: ReadonlyMap<string, TopicIdentity>, seen: ReadonlyMap<string, TopicIdentity>): void {
    for (const [topic, known] of before) {
      const now = seen.get(topic)
      const loss = lossOf(topic, known, now)
      if (loss !== undefined) this.#losses.set(topic, loss)
      else this.#extend(topic, now!.ends)
    }
  }

  #extend(topic: string, seen: ReadonlyArray<bigint>): void {
    const { ends } = this.#topics.get(topic)!
    for (const [partition, end] of seen.entries()) if (end > (ends[partition] ?? 0n)) ends[partition] = end
  }
}

const copyOf = (topics: ReadonlyMap<string, TopicIdentity>) =>
  new Map([...topics].map(([topic, { ends, id }]) => [topic, { id, ends: [...ends] }]))
