/**
 * How late a tier that ends by time alone is written: twenty scores of 25 points, each about to fall below 24.995.
 *
 *   npm run bench -- crossing
 */
import type { Measured } from "./Report.ts"
import type { Servers } from "./Servers.ts"
import { start } from "./System.ts"

const scores = 20
/** 25 points over a day have fallen by 0.005 after 17.28 s; the first score is there already when it has some seconds left. */
const crossing = "17.28 seconds"
const age = "12 seconds"

export const run = async (servers: Servers): Promise<Measured> => {
  await using system = await start(servers, 100)
  await system.until(({ settled }) => settled)
  const { rows: made } = await system.hub.query<{ outreach_id: string }>(
    `insert into outreach.bit_signals (outreach_id, signal_type, signal_impact, source_spoke, correlation_id, decay_period_days, signal_timestamp)
     select outreach_id, 'bench', 25, 'people', gen_random_uuid(), 1, clock_timestamp() - $2::interval - row_number() over () * interval '170 milliseconds'
     from (select outreach_id from outreach.outreach o where not exists (select from outreach.bit_signals s where s.outreach_id = o.outreach_id) limit $1) o
     returning outreach_id`,
    [scores, age]
  )
  const outreaches = made.map(({ outreach_id }) => outreach_id)
  const cold = async () => {
    const { rows } = await system.hub.query("select from outreach.bit_scores where outreach_id = any($1) and score_tier = 'COLD'", [outreaches])
    return rows.length
  }
  while (await cold() < scores) await new Promise((resolve) => setTimeout(resolve, 100))
  const { rows } = await system.hub.query<{ millis: number }>(
    `select (extract(epoch from b.updated_at - (s.signal_timestamp + $2::interval)) * 1000)::float8 as millis
     from outreach.bit_scores b join outreach.bit_signals s using (outreach_id) where outreach_id = any($1) order by 1`,
    [outreaches, crossing]
  )
  const late = rows.map(({ millis }) => Math.round(millis))
  return {
    title: `${late.length} tiers that end by time alone: how late each is written`,
    rows: [{ "least ms": late[0]!, "median ms": late[late.length >> 1]!, "most ms": late.at(-1)! }]
  }
}
