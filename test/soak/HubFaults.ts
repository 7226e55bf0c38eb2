import { fromCause } from "../../src/connections/PostgresError.ts"
import { archiveSteps } from "../../src/embedded/hub/CompanyOperations.ts"
import type { Fault } from "./Faults.ts"
import type { World } from "./World.ts"

/** What the hub does to us, and what others write where we read. */

/** Signals that make no sense, some of rows that made sense before: nothing may be counted for them, and nobody blocked by them. */
const writeBadValues: Fault["inflict"] = async (world, random) => {
  await world.query(
    `insert into outreach.bit_signals (signal_id, outreach_id, signal_type, signal_impact, source_spoke, correlation_id, decay_period_days)
     select gen_random_uuid(), outreach_id, 'bad', impact, 'people', gen_random_uuid(), decay
     from (select outreach_id from outreach.outreach order by random() limit 5) o,
       (values ('NaN'::numeric, 90), ('Infinity', 90), ('-Infinity', 90), (5, 0), (5, -3)) bad(impact, decay)`
  )
  const spoil = "signal_id in (select signal_id from outreach.bit_signals where decay_period_days > 0 order by random() limit 5)"
  const mend = "signal_id in (select signal_id from outreach.bit_signals where decay_period_days = 0 order by random() limit 5)"
  await world.query(random.chance(0.5)
    ? `update outreach.bit_signals set decay_period_days = 0 where ${spoil}`
    : `update outreach.bit_signals set decay_period_days = 30 where ${mend}`)
}

/**
 * Another program's records on the topics that pipelines read. None has a position, so none takes a place in the order of capture's; what they
 * say can't be used. Their keys are nobody's: a letter of a row's own key would make that row suspect.
 */
const writeBadRecords: Fault["inflict"] = async (world, random) => {
  const tables = ["outreach.bit_signals", "outreach.send_log", "outreach.engagement_events", "outreach.outreach"]
  const values = ["<row/>", "", "7", "[]", "{\"op\":\"c\"}", "{\"payload\":{\"op\":\"c\"}}", "{\"op\":\"c\",\"after\":{", "x".repeat(200_000)]
  await world.produceForeign(`hub.${random.pick(tables)}`, values.map((value) => ({ key: JSON.stringify({ nobody: random.uuid() }), value })))
}

/** To some day of the last two months, forwards or back; the soak ends with the real one. */
const jumpClock: Fault["inflict"] = (world, random) => world.setClock(-random.fraction() * 60)

/**
 * A back-fill, and then its clean-up: in one transaction while its scores are being written, or in one for each table when they all are. The
 * hub's other spokes may have taken to these rows meanwhile, so that it may have to be done again. Because of a score that we inserted behind its back
 * it is counted, and in one transaction once at the most: what is left of that race (docs/guarantees.md, 7) does not meet one archive twice. Between
 * several there may be first scores, of signals that those spokes have made since.
 */
const archiveBurst: Fault["inflict"] = async (world, random) => {
  const outreaches = Array.from({ length: world.burstRows / rowsPerOutreach }, random.uuid)
  await world.query(
    `with fresh as (insert into outreach.outreach (outreach_id, sovereign_id)
       select id, (select company_unique_id from cl.company_identity limit 1) from unnest($1::uuid[]) id returning outreach_id)
     insert into outreach.bit_signals (signal_id, outreach_id, signal_type, signal_impact, source_spoke, correlation_id)
     select gen_random_uuid(), outreach_id, 'made', 40, 'people', gen_random_uuid() from fresh`,
    [outreaches]
  )
  const isOneTransaction = random.chance(0.6) || !(await areScored(world, outreaches))
  await pause(random.between(0, 4_000))
  const archive = async () => {
    for (const steps of isOneTransaction ? [archiveSteps] : oneByOne) await world.queryTogether(steps, [outreaches])
  }
  let metScore = 0
  for (let attempt = 1;; attempt++) {
    const failure = await archive().then(() => undefined, (error: Error & { code?: string; table?: string }) => error)
    if (failure === undefined) break
    if (failure.table === "bit_scores" && ++metScore > 1 && isOneTransaction || attempt === 10 || !fromCause("Archiving", failure).isRetryable) throw failure
  }
  world.archives.done++
  world.archives.metScore += metScore
}

/** Waits for that, but not for what may have been hurt a moment ago. */
const areScored = async (world: World, outreaches: ReadonlyArray<string>): Promise<boolean> => {
  for (let looks = 0; looks < 60; looks++) {
    const [scored] = await world.query<{ n: string }>("select count(*) as n from outreach.bit_scores where outreach_id = any($1::uuid[])", [outreaches])
    if (Number(scored!.n) === outreaches.length) return true
    await pause(500)
  }
  return false
}

/** The copy and what it is of go together, or it could not be done again. */
const oneByOne = [...archiveSteps.slice(0, -2).map((step) => [step]), archiveSteps.slice(-2)]

/** Of an archive: its signal, its score, its copy and itself. */
const rowsPerOutreach = 4

const pause = (millis: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, millis))

export const hubFaults: ReadonlyArray<Fault> = [
  { name: "write bad values", parts: 2, inflict: writeBadValues },
  { name: "write bad records", parts: 2, inflict: writeBadRecords },
  { name: "let the clock jump", parts: 3, inflict: jumpClock },
  { name: "archive a burst", parts: 3, inflict: archiveBurst }
]
