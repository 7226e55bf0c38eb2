import type { ReplayStatus } from "../observability/SystemStatus.ts"

/** How far the rebuilding of a pipeline's state is, seen by who rebuilds it: its rate is that of the last ten seconds. */
export interface ReplayProgress extends ReplayStatus {
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

/** Records that were read, by offsets, of all that there are. `next` are the offsets that the candidate will read next, by `topic/partition`. */
export const readOf = (partitions: ReadonlyArray<Bounds>, next: ReadonlyMap<string, bigint>): { readonly done: number; readonly of: number } => {
  let done = 0
  let of = 0
  for (const { high, low, partition, topic } of partitions) {
    const at = next.get(`${topic}/${partition}`) ?? low
    of += Number(high - low)
    done += Number(at > low ? (at < high ? at : high) - low : 0n)
  }
  return { done, of }
}

/** Pure: `before` is what was told last. */
export const progressOf = (
  generation: number,
  partitions: ReadonlyArray<Bounds>,
  next: ReadonlyMap<string, bigint>,
  nowMillis: number,
  before: ReplayProgress | undefined
): ReplayProgress => {
  const { done, of } = readOf(partitions, next)
  const ends = new Map(partitions.map(({ high, partition, topic }) => [`${topic}/${partition}`, high]))
  const earlier = before?.generation === generation ? before.looks.filter(({ millis }) => nowMillis - millis <= rateOverMillis) : []
  const looks = [...earlier, { millis: nowMillis, done }]
  const recordsPerSecond = looks.length < 2 ? null : Math.round((done - looks[0]!.done) * 1_000 / (nowMillis - looks[0]!.millis))
  return { generation, done, of, ...estimate(done, of, recordsPerSecond), recordsPerSecond, ends, looks }
}

/** What is left: percent, 100 only when all is done, and seconds, null where the rate is not known or nothing moves. */
export const estimate = (done: number, of: number, recordsPerSecond: number | null): { readonly percent: number; readonly secondsLeft: number | null } => ({
  percent: done >= of ? 100 : Math.min(99.9, Math.floor(done * 1_000 / of) / 10),
  secondsLeft: done >= of ? 0 : recordsPerSecond === null || recordsPerSecond <= 0 ? null : Math.ceil((of - done) / recordsPerSecond)
})
