/** A topic as it can be told from another one of the same name. */
export interface TopicIdentity {
  /** Given by the cluster when the topic is made. */
  readonly id: string
  /** By partition: the offset that the next record will have. */
  readonly ends: ReadonlyArray<bigint>
}

/** Why a topic may lack what it once had, in a person's words; undefined: it is the same, and no shorter. `now` undefined: there is none. */
export const lossOf = (topic: string, before: TopicIdentity, now: TopicIdentity | undefined): string | undefined => {
  if (now === undefined) return `topic ${topic} is gone`
  if (now.id !== before.id) return `topic ${topic} was deleted and made again`
  const cut = before.ends.findIndex((end, partition) => (now.ends[partition] ?? 0n) < end)
  return cut === -1 ? undefined : cutOf(topic, cut, now.ends[cut] ?? 0n, before.ends[cut]!)
}

/** A partition that goes on before an offset that it had reached: what was acknowledged between is lost. */
export const cutOf = (topic: string, partition: number, end: bigint, before: bigint): string =>
  `topic ${topic} has lost acknowledged records: partition ${partition} had reached offset ${before}, and goes on at ${end}`
