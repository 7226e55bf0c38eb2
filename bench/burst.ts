/**
 * One large transaction through all of `cdc run`: committed → captured → Kafka → aggregates.
 *
 *   npm run bench -- burst [rows]
 *
 * Arms: signals, then sends, inserted on what the sample hub has; and those signals deleted again, as an archive job does. From the commit until the
 * last of its changes is in the aggregates of each pipeline that reads the table; CPU is that of the process with all pipelines in it.
 */
import type { Measured, Row } from "./Report.ts"
import type { Servers } from "./Servers.ts"
import { start, type System } from "./System.ts"

interface Burst {
  readonly arm: string
  readonly pipelines: ReadonlyArray<string>
  /** $1: the number of rows. */
  readonly statement: string
}

const bursts: ReadonlyArray<Burst> = [
  {
    arm: "signals inserted",
    pipelines: ["bit-scores", "legacy-mirrors"],
    statement: `insert into outreach.bit_signals (outreach_id, signal_type, signal_impact, source_spoke, correlation_id, process_id)
      select o.id[1 + n % cardinality(o.id)], 'email_open', 1, 'people', gen_random_uuid(), '00000000-0000-4000-8000-000000000001'
      from generate_series(1, $1::int) n, (select array_agg(outreach_id) as id from outreach.outreach) o`
  },
  {
    arm: "signals deleted",
    pipelines: ["bit-scores", "legacy-mirrors"],
    statement: "delete from outreach.bit_signals where process_id = '00000000-0000-4000-8000-000000000001' and $1::int > 0"
  },
  {
    arm: "sends inserted",
    pipelines: ["campaign-totals"],
    statement: `insert into outreach.send_log (campaign_id, email_to, send_status, sent_at)
      select c.id[1 + n % cardinality(c.id)], n || '@example.org', 'sent', now()
      from generate_series(1, $1::int) n, (select array_agg(campaign_id) as id from outreach.campaigns) c`
  }
]

export const run = async (servers: Servers, [rows = "80000"]: ReadonlyArray<string>): Promise<Measured> => {
  await using system = await start(servers, 200)
  await system.until(({ settled }) => settled)
  const measured: Array<Row> = []
  for (const burst of bursts) measured.push(...await measure(system, burst, Number(rows)))
  return { title: `One transaction of ${Number(rows).toLocaleString("en-US")} rows through all of cdc run, with every pipeline`, rows: measured }
}

const measure = async (system: System, { arm, pipelines, statement }: Burst, rows: number): Promise<ReadonlyArray<Row>> => {
  console.error(arm)
  const before = await appliedBy(system)
  const cpu = system.usage().cpuSeconds
  const { rowCount } = await system.hub.query(statement, [rows])
  const committed = performance.now()
  const seconds = new Map<string, number>()
  while (seconds.size < pipelines.length) {
    const applied = await appliedBy(system)
    for (const name of pipelines) {
      if (!seconds.has(name) && applied.get(name)! - before.get(name)! >= rowCount!) seconds.set(name, (performance.now() - committed) / 1000)
    }
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
  await system.until(({ settled }) => settled)
  const cpuMicros = (system.usage().cpuSeconds - cpu) * 1e6 / rowCount!
  return [...seconds].map(([pipeline, took]) => ({
    arm,
    pipeline,
    "applied after s": Math.round(took * 10) / 10,
    "changes/s": Math.round(rowCount! / took),
    "CPU µs per change, cdc with all pipelines": Math.round(cpuMicros)
  }))
}

/** Changes ever applied, by pipeline. */
const appliedBy = async ({ hub }: System): Promise<ReadonlyMap<string, number>> => {
  const { rows } = await hub.query<{ name: string; applied: string }>("select name, applied from cdc.pipelines")
  return new Map(rows.map(({ applied, name }) => [name, Number(applied)]))
}
