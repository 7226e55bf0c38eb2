/** How far the rebuilding of a pipeline's state is. */
export interface ReplayProgress {
  readonly generation: number
  /** By offsets: what compaction has removed counts as read. */
  readonly done: number
  readonly of: number
  /** 100 only when all is done. */
  readonly percent: number
  /** Over the last ten seconds; null: not known yet. */
  readonly recordsPerSecond: number | null
  /** At this rate; null: not known, or it stands still. */
  readonly secondsLeft: number | null
  /** By `topic/partition`: the ends of the topics when this was read. */
  readonly ends: ReadonlyMap<string, bigint>
  readonly looks: ReadonlyArray<Look>
}

interface Look {
  readonly millis: number
  readonly done: number
}

interface Bounds {
  readonly topic: string
  readonly partition: number
  readonly low: bigint
  readonly high: bigint
}

const rateOverMillis = 10_000

/** Pure: `next` are the offsets that the candidate will read next, `before` what was told last. */
export const progressOf = (
  generation: number,
  partitions: ReadonlyArray<Bounds>,
  next: ReadonlyMap<string, bigint>,
  nowMillis: number,
  before: ReplayProgress | undefined
): ReplayProgress => {
  let done = 0
  let of = 0
  const ends = new Map<string, bigint>()
  for (const { high, low, partition, topic } of partitions) {
    const id = `${topic}/${partition}`
    const at = next.get(id) ?? low
    ends.set(id, high)
    of += Number(high - low)
    done += Number(at > low ? (at < high ? at : high) - low : 0n)
  }
  const earlier = before?.generation === generation ? before.looks.filter(({ millis }) => nowMillis - millis <= rateOverMillis) : []
  const looks = [...earlier, { millis: nowMillis, done }]
  const recordsPerSecond = looks.length < 2 ? null : Math.round((done - looks[0]!.done) * 1_000 / (nowMillis - looks[0]!.millis))
  return { generation, done, of, ...estimate(done, of, recordsPerSecond), recordsPerSecond, ends, looks }
}

/** What is left, in percent and seconds. */
export const estimate = (done: number, of: number, recordsPerSecond: number | null): { readonly percent: number; readonly secondsLeft: number | null } => ({
  percent: done >= of ? 100 : Math.min(99.9, Math.floor(done * 1_000 / of) / 10),
  secondsLeft: done >= of ? 0 : recordsPerSecond === null || recordsPerSecond <= 0 ? null : Math.ceil((of - done) / recordsPerSecond)
})
