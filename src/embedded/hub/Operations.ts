import { Effect } from "effect"
import type { Sql } from "../../connections/Postgres.ts"
import type { PostgresError } from "../../connections/PostgresError.ts"
import type { Random } from "./Random.ts"
import * as Words from "./Vocabulary.ts"

/** Something that the hub does in a transaction; answers how many rows it changed. */
export type Operation = (sql: Sql, random: Random) => Effect.Effect<number, PostgresError>

/**
 * One row's key, the first at or after a random uuid (else the first of all): quick on any size, and for the same
 * rows and the same seed the same. `parameter` is the uuid's placeholder.
 */
export const some = (column: string, table: string, parameter: string): string =>
  `coalesce(
    (select ${column} from ${table} where ${column} >= ${parameter} order by ${column} limit 1),
    (select ${column} from ${table} order by ${column} limit 1))`

export const someSignal = some("signal_id", "outreach.bit_signals", "$1::uuid")
const someSend = some("send_id", "outreach.send_log", "$1::uuid")
const someEvent = some("event_id", "outreach.engagement_events", "$1::uuid")
export const someOutreach = (parameter: string) => some("outreach_id", "outreach.outreach", parameter)
export const someCampaign = (parameter: string) => some("campaign_id", "outreach.campaigns", parameter)

/** Runs an insert, update or delete, and answers how many rows it changed. */
export const change = (sql: Sql, doing: string, statement: string, parameters: ReadonlyArray<unknown>) =>
  Effect.map(
    sql.query<{ n: bigint }>(doing, `with changed as (${statement} returning 1) select count(*) as n from changed`, parameters),
    ([row]) => Number(row!.n)
  )

// Signals --------------------------------------------------------------------------------------------------------------

/** One to five of one spoke, as its run finds them; mostly for an outreach that has signals already. */
export const emitSignals: Operation = (sql, random) => {
  const spoke = random.pick(Words.spokes)
  const outreach = random.chance(0.7)
    ? `(select outreach_id from outreach.bit_signals where signal_id = ${someSignal})`
    : someOutreach("$1::uuid")
  const signals = Array.from({ length: random.between(1, 5) }, () => ({
    id: random.uuid(),
    type: random.pick<string>(spoke.types),
    impact: String(random.chance(0.1) ? -random.between(100, 1_500) / 100 : random.between(100, 3_000) / 100),
    spelling: random.pick<string>(spoke.spellings),
    age: random.chance(0.05) ? -random.fraction() * 10 : random.fraction() * random.pick([0.01, 1, 80, 200]),
    decay: random.pick([30, 60, 90, 180])
  }))
  return change(
    sql,
    "Emitting signals",
    `insert into outreach.bit_signals
      (signal_id, outreach_id, signal_type, signal_impact, source_spoke, correlation_id, signal_metadata, decay_period_days, signal_timestamp)
    select id, found.outreach_id, type, impact, spelling, $3::uuid, '{"run": "activity"}'::jsonb, decay, now() - age * interval '1 day'
    from (select ${outreach} as outreach_id) found,
      jsonb_to_recordset($2) as signal(id uuid, type text, impact numeric, spelling text, age float8, decay int)
    where found.outreach_id is not null`,
    [random.uuid(), JSON.stringify(signals), random.uuid()]
  )
}

export const reviseSignal: Operation = (sql, random) =>
  change(
    sql,
    "Revising a signal",
    `update outreach.bit_signals
    set signal_impact = $2::numeric, decay_period_days = $3, signal_timestamp = signal_timestamp - $4::float8 * interval '1 hour', processed_at = now()
    where signal_id = ${someSignal}`,
    [random.uuid(), String(random.between(-1_000, 3_000) / 100), random.pick([30, 90, 180]), random.fraction() * 48]
  )

export const moveSignal: Operation = (sql, random) =>
  change(
    sql,
    "Moving a signal to another outreach",
    `update outreach.bit_signals set outreach_id = ${someOutreach("$2::uuid")} where signal_id = ${someSignal}`,
    [random.uuid(), random.uuid()]
  )

export const withdrawSignals: Operation = (sql, random) =>
  change(
    sql,
    "Withdrawing signals",
    random.chance(0.2)
      ? `delete from outreach.bit_signals
        where outreach_id = (select outreach_id from outreach.bit_signals where signal_id = ${someSignal})`
      : `delete from outreach.bit_signals where signal_id = ${someSignal}`,
    [random.uuid()]
  )

// Sends ----------------------------------------------------------------------------------------------------------------

/** A campaign takes up to ten people in, one of them by address only. */
export const scheduleSends: Operation = (sql, random) =>
  change(
    sql,
    "Scheduling sends",
    `insert into outreach.send_log
      (send_id, campaign_id, sequence_id, person_id, target_id, company_unique_id, email_to, email_subject, send_status, scheduled_at)
    select id, campaign_id, (select sequence_id from outreach.sequences where sequences.campaign_id = campaign.campaign_id limit 1),
      case when n > 1 then person_id end, target_id, target.company_unique_id, case when n > 1 then email else upper(email) end,
      'A question', 'scheduled', now()
    from (select ${someCampaign("$1::uuid")} as campaign_id) campaign,
      (select *, row_number() over (order by person_id) as n
        from (select * from outreach.people where person_id >= $2::uuid order by person_id limit $4) taken) person
    join unnest($3::uuid[]) with ordinality as fresh (id, n) using (n)
    left join outreach.company_target target using (target_id)
    where campaign_id is not null`,
    [random.uuid(), random.uuid(), Array.from({ length: 10 }, random.uuid), random.between(1, 10)]
  )

/** What a send's status is followed by, the instant that is set then, and the event that tells of it. */
const nextOfSend = {
  pending: { status: "scheduled", column: "scheduled_at", event: null },
  scheduled: { status: "sent", column: "sent_at", event: null },
  sent: { status: "delivered", column: "delivered_at", event: null },
  delivered: { status: "opened", column: "opened_at", event: "email_open" },
  opened: { status: "clicked", column: "clicked_at", event: "email_click" },
  clicked: { status: "replied", column: "replied_at", event: "email_reply" }
} as const

/** A send gets one step further, or is opened again; from its opening on there is an event, too. */
export const progressSend: Operation = Effect.fnUntraced(function*(sql, random) {
  const [send] = yield* sql.query<{ send_id: string; send_status: string }>(
    "Looking for a send",
    `select send_id, send_status from outreach.send_log where send_id = ${someSend} for update`,
    [random.uuid()]
  )
  if (send === undefined) return 0
  const next = nextOfSend[send.send_status as keyof typeof nextOfSend]
  if (next === undefined) {
    return yield* change(sql, "Opening a mail again", "update outreach.send_log set open_count = open_count + 1, updated_at = now() where send_id = $1", [send.send_id])
  }
  const bounces = next.status === "delivered" && random.chance(0.05)
  const { column, event, status } = bounces ? { column: "bounced_at", event: "email_bounce", status: "bounced" } : next
  const changed = yield* change(
    sql,
    "Taking a send further",
    `update outreach.send_log set send_status = $2, ${column} = now(), updated_at = now() where send_id = $1`,
    [send.send_id, status]
  )
  if (event === null) return changed
  return changed + (yield* change(
    sql,
    "Recording what a recipient did",
    `insert into outreach.engagement_events (event_id, person_id, target_id, outreach_id, company_unique_id, event_type, source_system, source_campaign_id)
    select $2::uuid, person_id, target_id, person.outreach_id, send.company_unique_id, $3::outreach.event_type, 'instantly', campaign_id::text
    from outreach.send_log send left join outreach.people person using (person_id, target_id) where send_id = $1`,
    [send.send_id, random.uuid(), event]
  ))
})

/** Opened by a mail scanner, it turns out: the opening is taken back. */
export const unsetSend: Operation = (sql, random) =>
  change(
    sql,
    "Taking an opening back",
    `update outreach.send_log
    set send_status = 'delivered', opened_at = null, clicked_at = null, replied_at = null, open_count = 0, updated_at = now()
    where send_id = ${someSend}`,
    [random.uuid()]
  )

export const moveSend: Operation = (sql, random) =>
  change(
    sql,
    "Moving a send to another campaign, or to none",
    `update outreach.send_log set campaign_id = case when $3 then ${someCampaign("$2::uuid")} end, updated_at = now()
    where send_id = ${someSend}`,
    [random.uuid(), random.uuid(), random.chance(0.8)]
  )

export const deleteSend: Operation = (sql, random) =>
  change(sql, "Deleting a send", `delete from outreach.send_log where send_id = ${someSend}`, [random.uuid()])

// Engagement -----------------------------------------------------------------------------------------------------------

export const recordEvent: Operation = (sql, random) =>
  change(
    sql,
    "Recording an event",
    `insert into outreach.engagement_events
      (event_id, person_id, target_id, outreach_id, company_unique_id, event_type, event_ts, source_system, metadata, is_duplicate)
    select $2::uuid, person_id, target_id, outreach_id, $6::text, $3::outreach.event_type, now() - $4::float8 * interval '1 day', $5::text,
      '{"seen": 1.50}'::jsonb, $7::boolean
    from outreach.people where person_id = ${some("person_id", "outreach.people", "$1::uuid")}`,
    [
      random.uuid(),
      random.uuid(),
      random.pick(Words.eventTypes),
      random.fraction() * random.pick([0.01, 30]),
      random.pick(Words.eventSources),
      random.chance(0.1) ? `ext-${random.between(1, 9)}` : null,
      random.pick([false, false, false, null])
    ]
  )

/** The same event came in twice: its copy is recorded, flagged or (so far) not. */
export const recordDuplicate: Operation = (sql, random) =>
  change(
    sql,
    "Recording a duplicate",
    `insert into outreach.engagement_events
      (event_id, person_id, target_id, outreach_id, company_unique_id, event_type, event_ts, source_system, metadata, event_hash, is_duplicate)
    select $2::uuid, person_id, target_id, outreach_id, company_unique_id, event_type, event_ts, source_system, metadata, event_hash, $3::boolean
    from outreach.engagement_events where event_id = ${someEvent}`,
    [random.uuid(), random.uuid(), random.chance(0.7)]
  )

/** Flagged, or the flag taken back. */
export const flagDuplicate: Operation = (sql, random) =>
  change(
    sql,
    "Flagging an event",
    `update outreach.engagement_events set is_duplicate = is_duplicate is not true, is_processed = true where event_id = ${someEvent}`,
    [random.uuid()]
  )

export const moveEvent: Operation = (sql, random) =>
  change(
    sql,
    "Moving an event to another outreach",
    `update outreach.engagement_events
    set outreach_id = ${someOutreach("$2::uuid")}, company_unique_id = case when $3 then null else company_unique_id end
    where event_id = ${someEvent}`,
    [random.uuid(), random.uuid(), random.chance(0.7)]
  )

/** Another person did it. */
export const reassignEvent: Operation = (sql, random) =>
  change(
    sql,
    "Giving an event to another person",
    `update outreach.engagement_events set person_id = ${some("person_id", "outreach.people", "$2::uuid")} where event_id = ${someEvent}`,
    [random.uuid(), random.uuid()]
  )

export const deleteEvent: Operation = (sql, random) =>
  change(sql, "Deleting an event", `delete from outreach.engagement_events where event_id = ${someEvent}`, [random.uuid()])

// Keys -----------------------------------------------------------------------------------------------------------------

/** An import is redone under new ids. */
export const renumber: Operation = (sql, random) => {
  const statement = random.pick([
    `update outreach.bit_signals set signal_id = $2 where signal_id = ${someSignal}`,
    `update outreach.send_log set send_id = $2 where send_id = ${someSend}`,
    `update outreach.engagement_events set event_id = $2 where event_id = ${someEvent}`
  ])
  return change(sql, "Giving a row a new id", statement, [random.uuid(), random.uuid()])
}
