import { Effect } from "effect"
import type { Sql } from "../../connections/Postgres.ts"
import { insertAll } from "./Insert.ts"
import { change, emitSignals, type Operation, recordEvent, scheduleSends, some, someCampaign, someOutreach, someSignal } from "./Operations.ts"
import type { Random } from "./Random.ts"
import * as Words from "./Vocabulary.ts"

/** Operations on what the others hang on: companies and their outreach, campaigns, and what runs cost and fail of. */

const largestNumber = 99_999_999 // of a company; random, so that no two are likely to be named alike

/** A company enters with its domain, its outreach, a target, people and first signals, all in one transaction. */
export const enterCompany: Operation = Effect.fnUntraced(function*(sql, random) {
  const n = random.between(1_000_000, largestNumber)
  const domain = Words.companyDomain(n)
  const [company_unique_id, outreach_id, target_id] = [random.uuid(), random.uuid(), random.uuid()]
  const people = Array.from({ length: random.between(1, 5) }, (_, i) => ({
    person_id: random.uuid(),
    outreach_id,
    target_id,
    email: Words.email(n + i, domain)
  }))
  const tables = [
    ["cl", "company_identity", [{
      company_unique_id,
      company_name: Words.companyName(n),
      company_domain: domain,
      existence_verified: true,
      identity_status: "PASS",
      outreach_id
    }]],
    ["cl", "company_domains", [{ domain_id: random.uuid(), company_unique_id, domain, mx_present: true }]],
    ["outreach", "outreach", [{ outreach_id, sovereign_id: company_unique_id, domain }]],
    ["outreach", "company_target", [{ target_id, outreach_id, company_unique_id }]],
    ["outreach", "people", people],
    ["outreach", "bit_signals", [firstSignal(random, outreach_id)]]
  ] as const
  let written = 0
  for (const [schema, table, rows] of tables) written += yield* insertAll(sql, { schema, table }, rows)
  return written
})

const firstSignal = (random: Random, outreach_id: string) => {
  const spoke = random.pick(Words.spokes)
  return {
    signal_id: random.uuid(),
    outreach_id,
    signal_type: random.pick<string>(spoke.types),
    signal_impact: String(random.between(500, 4_000) / 100),
    source_spoke: random.pick<string>(spoke.spellings),
    correlation_id: random.uuid()
  }
}

/** A merger, or a mistake put right: the outreach belongs to another company. */
export const moveOutreach: Operation = (sql, random) =>
  change(
    sql,
    "Moving an outreach to another company",
    `update outreach.outreach set sovereign_id = ${some("company_unique_id", "cl.company_identity", "$2::uuid")}, updated_at = now()
    where outreach_id = ${
      random.chance(0.6) ? `(select outreach_id from outreach.bit_signals where signal_id = ${someSignal})` : someOutreach("$1::uuid")
    }`,
    [random.uuid(), random.uuid()]
  )

/**
 * A cascade clean-up: two to six neighbours leave with everything that refers to them, children first and the
 * outreach last, all in one transaction. The one place where the hub touches `bit_scores`.
 */
export const archive: Operation = Effect.fnUntraced(function*(sql, random) {
  const first = random.chance(0.6)
    ? `(select outreach_id from outreach.bit_signals where signal_id = ${someSignal})`
    : someOutreach("$1::uuid")
  const doomed = yield* sql.query<{ outreach_id: string }>(
    "Choosing what to archive",
    `select outreach_id from outreach.outreach where outreach_id >= ${first} order by outreach_id limit $2`,
    [random.uuid(), random.between(2, 6)]
  )
  const ids = [doomed.map(({ outreach_id }) => outreach_id)]
  let gone = 0
  for (const statement of archiveSteps) gone += yield* change(sql, "Archiving", statement, ids)
  return gone
})

const ofDoomed = (id: "person_id" | "target_id") =>
  `${id} in (select ${id} from outreach.${id === "person_id" ? "people" : "company_target"} where outreach_id = any($1::uuid[]))`

/** What it takes to archive the outreaches `$1::uuid[]`: children first, the outreach last. */
export const archiveSteps = [
  "delete from outreach.bit_scores where outreach_id = any($1::uuid[])",
  "delete from outreach.bit_signals where outreach_id = any($1::uuid[])",
  "delete from outreach.bit_errors where outreach_id = any($1::uuid[])",
  `delete from outreach.engagement_events where outreach_id = any($1::uuid[]) or ${ofDoomed("person_id")} or ${ofDoomed("target_id")}`,
  `delete from outreach.send_log where ${ofDoomed("person_id")} or ${ofDoomed("target_id")}`,
  "delete from outreach.people where outreach_id = any($1::uuid[])",
  "delete from outreach.dol where outreach_id = any($1::uuid[])",
  "delete from outreach.company_target where outreach_id = any($1::uuid[])",
  "update cl.company_identity set outreach_id = null, updated_at = now() where outreach_id = any($1::uuid[])",
  `insert into outreach.outreach_archive (outreach_id, sovereign_id, domain, created_at, updated_at, ein, has_appointment, archive_reason)
    select outreach_id, sovereign_id, domain, created_at, updated_at, ein, has_appointment, 'cascade_cleanup'
    from outreach.outreach where outreach_id = any($1::uuid[])`,
  "delete from outreach.outreach where outreach_id = any($1::uuid[])"
]

/** A person edits a campaign: never the totals. */
export const editCampaign: Operation = (sql, random) =>
  change(
    sql,
    "Editing a campaign",
    `update outreach.campaigns
    set campaign_name = split_part(campaign_name, ' · ', 1) || ' · ' || $2::text, campaign_status = $3, daily_send_limit = $4, updated_at = now()
    where campaign_id = ${someCampaign("$1::uuid")}`,
    [random.uuid(), `edit ${random.between(1, 999)}`, random.pick(Words.campaignStatuses), random.between(1, 20) * 25]
  )

export const startCampaign: Operation = Effect.fnUntraced(function*(sql, random) {
  const campaign_id = random.uuid()
  const campaigns = [{ campaign_id, campaign_name: `Campaign ${random.between(1, 9_999)}`, campaign_type: random.pick(Words.campaignTypes) }]
  const sequences = [1, 2, 3].map((sequence_order) => ({
    sequence_id: random.uuid(),
    campaign_id,
    sequence_name: `Step ${sequence_order}`,
    sequence_order
  }))
  return (yield* insertAll(sql, { schema: "outreach", table: "campaigns" }, campaigns)) +
    (yield* insertAll(sql, { schema: "outreach", table: "sequences" }, sequences))
})

/** A run of a spoke costs something, and goes wrong for somebody. */
export const spendAndFail: Operation = Effect.fnUntraced(function*(sql, random) {
  const outreach_context_id = `OCTX-${random.uuid()}`
  const tables = [
    ["outreach_ctx", "context", [{ outreach_context_id, notes: "activity" }]],
    ["outreach_ctx", "spend_log", [{ outreach_context_id, tool_name: "hunter", tier: 1, cost_credits: "0.125" }]],
    ["outreach", "outreach_errors", [{ error_id: random.uuid(), pipeline_stage: "context_init", failure_code: "OUT-CTX-001" }]],
    ["outreach", "bit_errors", [{
      error_id: random.uuid(),
      pipeline_stage: "calculate_score",
      failure_code: "BIT-CALC-001",
      blocking_reason: "The signal named no known spoke.",
      raw_input: { attempt: 1 }
    }]]
  ] as const
  let written = 0
  for (const [schema, table, rows] of tables) written += yield* insertAll(sql, { schema, table }, rows)
  return written
})

/** Several things in one transaction. */
export const combine = (...operations: ReadonlyArray<Operation>): Operation =>
  Effect.fnUntraced(function*(sql, random) {
    let changed = 0
    for (const operation of operations) changed += yield* operation(sql, random)
    return changed
  })

/** What is done after the savepoint is taken back; what was done before stays. */
export const halfTakenBack: Operation = Effect.fnUntraced(function*(sql, random) {
  const kept = yield* emitSignals(sql, random)
  yield* withinSavepoint(sql, combine(recordEvent, scheduleSends)(sql, random))
  return kept + (yield* recordEvent(sql, random))
})

const withinSavepoint = <A, E>(sql: Sql, work: Effect.Effect<A, E>) =>
  sql.query("Setting a savepoint", "savepoint doubtful").pipe(
    Effect.andThen(work),
    Effect.andThen(sql.query("Going back to a savepoint", "rollback to savepoint doubtful"))
  )
