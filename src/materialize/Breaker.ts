/** When a pipeline rather pauses than go on setting records aside. */
export interface BreakerSettings {
  /** More bad records than this, … */
  readonly moreThan: number
  /** … and more than this share (0 to 100) of the last … */
  readonly morePercentThan: number
  /** … so many records. */
  readonly ofLast: number
}

export const neverTrips: BreakerSettings = { moreThan: Infinity, morePercentThan: 100, ofLast: 0 }

/** Whether each of the last records was bad, the oldest first; no more than `ofLast`. */
export type Recent = ReadonlyArray<boolean>

/** How many of how many records were bad when it was enough. */
export interface Tripped {
  readonly bad: number
  readonly of: number
}

/** Looks at a batch's records, in their order, behind those before it; undefined: go on. */
export const judge = ({ moreThan, morePercentThan, ofLast }: BreakerSettings, before: Recent, batch: ReadonlyArray<boolean>): Tripped | undefined => {
  const records = [...before, ...batch]
  let bad = 0
  for (let at = 0; at < records.length; at++) {
    if (records[at]) bad++
    if (at >= ofLast && records[at - ofLast]) bad--
    const of = Math.min(at + 1, ofLast)
    if (at >= before.length && bad > moreThan && bad * 100 > morePercentThan * of) return { bad, of }
  }
  return undefined
}

/** What is known once a batch has committed: behind those that did so since it was judged. */
export const remember = ({ ofLast }: BreakerSettings, before: Recent, batch: ReadonlyArray<boolean>): Recent => {
  const records = [...before, ...batch]
  return records.slice(Math.max(0, records.length - ofLast))
}

/** Remembers the records of committed batches, over a pipeline's restarts within one process. */
export interface Breaker {
  readonly settings: BreakerSettings
  recent: Recent
}

export const makeBreaker = (settings: BreakerSettings): Breaker => ({ settings, recent: [] })
