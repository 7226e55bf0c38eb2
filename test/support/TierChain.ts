import type { TierChanged } from "../../pipelines/bit-scores/TierChanged.ts"
import * as Position from "../../src/domain/Position.ts"
import type { ReadRecord } from "./TestTopics.ts"

export interface TierEvent {
  readonly id: string
  readonly data: TierChanged
}

export const tierEvent = ({ value }: Pick<ReadRecord, "value">): TierEvent => JSON.parse(value!.toString()) as TierEvent

/** What is wrong with a topic of tier events, held against the stored tiers by outreach; none if all is well. */
export const brokenChains = (records: ReadonlyArray<ReadRecord>, stored: ReadonlyMap<string, string>): ReadonlyArray<string> => {
  const faults: Array<string> = []
  const lastId = new Map<number, Position.Position>()
  const last = new Map<string, TierChanged["after"]>()
  for (const record of records) {
    const { data: { after, before, outreach_id: outreach }, id } = tierEvent(record)
    const position = Position.parse(id)!
    const earlier = lastId.get(record.partition)
    if (earlier !== undefined && !Position.isAfter(position, earlier)) faults.push(`${id} comes after ${Position.format(earlier)}`)
    lastId.set(record.partition, position)
    const told = last.get(outreach)
    // An outreach that began COLD, or stood so before anybody was told of it, is first heard of as that.
    if (told !== undefined && JSON.stringify(before) !== JSON.stringify(told)) {
      faults.push(`${id}: ${outreach} was ${JSON.stringify(told)}, and is said to have been ${JSON.stringify(before)}`)
    }
    if (before?.tier === after.tier) faults.push(`${id}: ${outreach} does not leave its tier`)
    last.set(outreach, after)
  }
  for (const [outreach, tier] of stored) {
    const told = last.get(outreach)?.tier
    if (told === undefined ? tier !== "COLD" : told !== tier) faults.push(`${outreach} is ${tier}, and was last said to be ${told ?? "nothing"}`)
  }
  return faults
}

/** The tiers as they are stored, of rows that the pipeline has written. */
export const storedTiers = async (database: { query: (statement: string) => Promise<ReadonlyArray<object>> }): Promise<Map<string, string>> => {
  const rows = await database.query(`
    select b.outreach_id::text as outreach, b.score_tier as tier from outreach.bit_scores b
    join cdc.managed m on m.pipeline = 'bit-scores' and m.key = b.outreach_id::text`) as ReadonlyArray<{ outreach: string; tier: string }>
  return new Map(rows.map(({ outreach, tier }) => [outreach, tier]))
}
