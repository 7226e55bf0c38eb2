import { seeded } from "../../src/embedded/hub/Random.ts"
import { Changes, type Row } from "../support/Changes.ts"

/** A made-up history of the hub: what the topics hold, and the rows that it ends with. */
export interface Workload {
  readonly changes: Changes
  /** By table and key. */
  readonly rows: ReadonlyMap<string, ReadonlyMap<string, Row>>
  /** Outreaches that exist in the end; in no order. */
  readonly outreaches: ReadonlyArray<string>
  readonly companies: ReadonlyArray<string>
  readonly people: ReadonlyArray<string>
  readonly campaigns: ReadonlyArray<string>
}

const signals = "outreach.bit_signals"
const events = "outreach.engagement_events"
const sends = "outreach.send_log"
const outreaches = "outreach.outreach"
const scores = "outreach.bit_scores"

/**
 * Inserts, updates, moves and deletes of every source table, bad input and repeated records among them. Children come before
 * their outreach and outlive it; what is left without parent is deleted at the end, as the hub's foreign keys would have it.
 * `nowMicros`: around it signals begin and expire.
 */
export const makeWorkload = (seed: number, nowMicros: bigint, steps: number): Workload => {
  const random = seeded("workload", seed)
  const many = (count: number) => Array.from({ length: count }, () => random.uuid())
  const world = { companies: many(5), people: many(6), campaigns: many(4), outreaches: many(10) }
  const changes = new Changes()
  const rows = new Map<string, Map<string, Row>>([signals, events, sends, outreaches, scores].map((table) => [table, new Map()]))

  const put = (table: string, key: string, row: Row) => {
    const isThere = rows.get(table)!.has(key)
    rows.get(table)!.set(key, row)
    changes.append(table, isThere ? "u" : random.chance(0.2) ? "r" : "c", key, row)
  }
  const remove = (table: string, key: string) => {
    if (rows.get(table)!.delete(key)) changes.delete(table, key)
  }
  const existing = (table: string): string | undefined => {
    const keys = [...rows.get(table)!.keys()]
    return keys.length === 0 ? undefined : random.pick(keys)
  }
  const keyFor = (table: string) => (random.chance(0.5) ? existing(table) : undefined) ?? random.uuid()
  const instant = (spanDays: number) =>
    sqlInstant(nowMicros + BigInt(Math.round((random.fraction() - 0.7) * spanDays * 86_400e6)))
  const maybe = <A>(value: A): A | null => random.chance(0.5) ? value : null

  const signal = (key: string): Row => ({
    signal_id: key,
    outreach_id: random.pick(world.outreaches),
    signal_type: random.pick(["made", "email_open", "linkedin_view", "form_submit"]),
    signal_impact: random.chance(0.07) ? random.pick(["NaN", "Infinity", "-Infinity", "99999999999"]) : random.pick([
      "10", "-7.25", "0", "33.333333333", "2.5", "-2.5", "60", String(random.between(-400, 900) / 8)
    ]),
    source_spoke: random.pick(["people", "people_node", "dol", "blog_node", "talent-flow", "company_target"]),
    correlation_id: key,
    decay_period_days: random.chance(0.07) ? random.pick([0, -3]) : random.pick([1, 7, 30, 90, 2_147_483_647]),
    signal_timestamp: instant(60)
  })
  const event = (key: string): Row => ({
    event_id: key,
    person_id: maybe(random.pick(world.people)),
    outreach_id: maybe(random.pick(world.outreaches)),
    company_unique_id: random.chance(0.2) ? random.pick([...world.companies, "a company by another name"]) : null,
    event_type: random.pick(["email_open", "email_click", "email_reply", "email_bounce", "linkedin_view", "website_visit", "form_submit"]),
    event_ts: instant(100),
    source_system: maybe("mailer"),
    source_campaign_id: maybe("spring"),
    is_duplicate: random.pick([true, false, false, null])
  })
  const send = (key: string): Row => ({
    send_id: key,
    campaign_id: random.chance(0.1) ? null : random.pick(world.campaigns),
    person_id: maybe(random.pick(world.people)),
    email_to: random.pick(["Ann@Example.com", "ann@example.com", "BOB@example.com", "Österreich@example.com", "österreich@example.com"]),
    sent_at: maybe(instant(30)),
    opened_at: maybe(instant(30)),
    clicked_at: maybe(instant(30)),
    replied_at: maybe(instant(30))
  })
  const outreach = (key: string): Row => ({ outreach_id: key, sovereign_id: random.pick(world.companies) })

  const step = () => {
    const dice = random.fraction()
    const [table, make] = dice < 0.4 ? [signals, signal] as const : dice < 0.65 ? [events, event] as const : [sends, send] as const
    if (dice > 0.9) {
      const key = random.pick(world.outreaches)
      return random.chance(0.25) ? remove(outreaches, key) : put(outreaches, key, outreach(key))
    }
    if (random.chance(0.2)) return remove(table, existing(table) ?? "")
    const key = keyFor(table)
    put(table, key, make(key))
    if (random.chance(0.1)) changes.repeat(table, changes.partitionOf(key), random.between(1, 3))
  }
  for (let n = 0; n < steps; n++) step()

  const alive = rows.get(outreaches)!
  const [first] = world.outreaches
  if (alive.size === 0) put(outreaches, first!, outreach(first!))
  for (const [key, row] of rows.get(signals)!) if (!alive.has(String(row.outreach_id))) remove(signals, key)
  for (const [key, row] of rows.get(events)!) if (row.outreach_id !== null && !alive.has(String(row.outreach_id))) remove(events, key)
  return { changes, rows, outreaches: [...alive.keys()], companies: world.companies, people: world.people, campaigns: world.campaigns }
}

const sqlInstant = (micros: bigint): string => {
  const millis = micros / 1000n
  return new Date(Number(millis)).toISOString().replace("Z", `${String(micros % 1000n).padStart(3, "0")}Z`)
}
