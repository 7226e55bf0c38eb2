import * as Delays from "./Delays.ts"
import { insertAtRate } from "./Load.ts"
import type { Row } from "./Report.ts"
import type { Servers } from "./Servers.ts"
import * as Signals from "./Signals.ts"
import { start, type System } from "./System.ts"

export interface Work {
  /** Rows per second. */
  readonly rates: ReadonlyArray<number>
  /** At each rate. */
  readonly seconds: number
  /** Before anything is measured. */
  readonly warmUp: { readonly rowsPerSecond: number; readonly seconds: number }
}

/**
 * To the topic and to the score, with all of `cdc run` in one process. The nth signal of an outreach has become its score with the first
 * score that counts n signals.
 */
export const measure = async (servers: Servers, { rates, seconds, warmUp }: Work): Promise<ReadonlyArray<Row>> => {
  const arm = "ours, all of cdc run"
  console.error(arm)
  await using system = await start(servers, 2_000)
  await system.until(({ settled }) => settled)
  await at(system, warmUp.rowsPerSecond, warmUp.seconds)
  const rows: Array<Row> = []
  for (const rate of rates) {
    const { achieved, aggregate, topic } = await at(system, rate, seconds)
    rows.push({ arm, to: "topic", "rows/s": achieved, ...Delays.summary(topic) }, { arm, to: "aggregate", "rows/s": achieved, ...Delays.summary(aggregate) })
  }
  return rows
}

const at = async (system: System, rowsPerSecond: number, seconds: number) => {
  const next = await counts(system)
  const topic: Array<number> = []
  const commits = new Map<string, number>() // `outreach n` → when its nth signal committed, µs
  const scores = new Map<string, Array<{ count: number; at: number }>>()
  const signals = `${system.topicPrefix}.outreach.bit_signals`
  await using watch = await Delays.watch(system.brokers, [signals, `${system.topicPrefix}.outreach.bit_scores`], (name, { after, source }, now) => {
    const id = after!.outreach_id
    if (name === signals) {
      const n = next.get(id)! + 1
      next.set(id, n)
      commits.set(`${id} ${n}`, source.ts_us)
      topic.push((now - source.ts_us) / 1000)
    } else {
      scores.set(id, [...scores.get(id) ?? [], { count: after!.signal_count!, at: source.ts_us }])
    }
  })
  const achieved = await insertAtRate(system, { rowsPerSecond, seconds, outreaches: [...next.keys()], statement: Signals.insertFor })
  const aggregate = () =>
    [...commits].flatMap(([key, committed]) => {
      const [outreach, n] = key.split(" ") as [string, string]
      const first = scores.get(outreach)?.find(({ count }) => count >= Number(n))
      return first === undefined ? [] : [(first.at - committed) / 1000]
    })
  await watch.until(() => topic.length >= rowsPerSecond * seconds && latestOf(scores, next))
  return { achieved, topic, aggregate: aggregate() }
}

/** Whether every signal is counted in a score. */
const latestOf = (scores: ReadonlyMap<string, ReadonlyArray<{ count: number }>>, next: ReadonlyMap<string, number>): boolean =>
  [...scores].every(([id, ofOutreach]) => ofOutreach.at(-1)!.count >= next.get(id)!)

/** Outreaches with their number of signals, 0 included. */
const counts = async ({ hub }: System): Promise<Map<string, number>> => {
  const { rows } = await hub.query<{ outreach_id: string; count: number }>(
    `select o.outreach_id, count(s.signal_id)::int as count from outreach.outreach o left join outreach.bit_signals s using (outreach_id) group by 1`
  )
  return new Map(rows.map((row) => [row.outreach_id, row.count]))
}
