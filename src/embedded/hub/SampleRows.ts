import { type Random, seeded } from "./Random.ts"
import * as Words from "./Vocabulary.ts"

/** A row by its columns' names; a column left out takes its default. */
export type Row = Readonly<Record<string, unknown>>

export interface Sample {
  readonly seed: number
  readonly companies: number
  /** The instant that ages are counted from, in milliseconds since 1970 UTC. */
  readonly nowMillis: number
  /** With a few signals that nobody can score: no decay, no number. */
  readonly badInput: boolean
}

/**
 * How many rows each table gets; the proportions are production's of early 2026 (117 k companies, 114 k outreaches,
 * 335 k people, 47 k domains, 15 k scored), those of campaigns, sends and events are ours.
 */
export const sizesFor = (companies: number) => {
  const outreaches = Math.round(companies * 0.974)
  return {
    companies,
    outreaches,
    people: Math.round(companies * 2.9),
    domains: Math.round(companies * 0.4),
    scored: Math.round(outreaches * 0.13),
    campaigns: Math.max(5, Math.round(companies / 100)),
    sends: Math.round(companies * 2.2),
    events: Math.round(companies * 1.6),
    archived: Math.round(companies * 0.02)
  }
}
export type Sizes = ReturnType<typeof sizesFor>

/** One method per kind of row, by its number. */
export class SampleRows {
  readonly #sample: Sample
  readonly #sizes: Sizes

  constructor(sample: Sample, sizes: Sizes) {
    this.#sample = sample
    this.#sizes = sizes
  }

  readonly id = (kind: string, n: number): string => this.random(`${kind}-id`, n).uuid()
  readonly random = (kind: string, n: number): Random => seeded(this.#sample.seed, kind, n)
  /** Some companies have two outreaches. */
  readonly companyOf = (outreach: number): string => this.id("company", outreach % 50 === 49 ? outreach - 1 : outreach)

  /** An instant `days` ago (ahead if negative), with microseconds, as Postgres reads it. */
  readonly ago = (random: Random, days: number): string =>
    new Date(this.#sample.nowMillis - days * 86_400_000).toISOString().replace("Z", `${String(random.between(0, 999)).padStart(3, "0")}Z`)

  readonly company = (n: number): Row => {
    const random = this.random("company", n)
    const entered = n < this.#sizes.outreaches && n % 50 !== 49
    return {
      company_unique_id: this.id("company", n),
      company_name: Words.companyName(n),
      company_domain: Words.companyDomain(n),
      linkedin_company_url: random.chance(0.6) ? `https://linkedin.example.com/company/${n}` : null,
      source_system: random.pick(["clay_import", "hunter", "manual"]),
      company_fingerprint: `${Words.companyDomain(n)}|${n}`,
      existence_verified: entered,
      identity_status: entered ? "PASS" : random.pick(["PENDING", "FAIL"]),
      identity_pass: entered ? 1 : 0,
      outreach_id: entered ? this.id("outreach", n) : null,
      state_code: random.pick(Words.states),
      name_match_score: random.between(40, 100)
    }
  }

  readonly domain = (n: number): Row => {
    const random = this.random("domain", n)
    return {
      domain_id: this.id("domain", n),
      company_unique_id: this.id("company", n),
      domain: Words.companyDomain(n),
      domain_health: random.pick(["OK", "OK", "PARKED", "UNREACHABLE"]),
      mx_present: random.chance(0.9),
      domain_name_confidence: random.between(50, 100)
    }
  }

  readonly outreach = (n: number): Row => {
    const random = this.random("outreach", n)
    return {
      outreach_id: this.id("outreach", n),
      sovereign_id: this.companyOf(n),
      domain: Words.companyDomain(n),
      created_at: this.ago(random, random.between(100, 400)),
      ein: random.chance(0.3) ? `${random.between(10, 98)}-${random.between(1_000_000, 9_999_999)}` : null,
      has_appointment: random.chance(0.02)
    }
  }

  readonly archived = (n: number): Row => {
    const random = this.random("archived", n)
    return {
      outreach_id: this.id("archived", n),
      sovereign_id: this.id("gone-company", n),
      domain: `gone-${n}.test`,
      created_at: this.ago(random, 500),
      updated_at: this.ago(random, 300),
      archived_at: this.ago(random, 200),
      archive_reason: random.pick(["cascade_cleanup", "company_failed_identity"])
    }
  }

  readonly outreachError = (n: number): Row => ({
    error_id: this.id("outreach-error", n),
    company_unique_id: this.id("company", n),
    pipeline_stage: "context_init",
    failure_code: "OUT-CTX-00" + (n % 4),
    details: "No domain could be resolved.",
    run_id: `run-${n % 7}`
  })

  readonly target = (n: number): Row => ({
    target_id: this.id("target", n),
    outreach_id: this.id("outreach", n),
    company_unique_id: this.companyOf(n)
  })

  readonly person = (n: number): Row => {
    const outreach = n % this.#sizes.outreaches
    return {
      person_id: this.id("person", n),
      outreach_id: this.id("outreach", outreach),
      target_id: this.id("target", outreach),
      email: Words.email(n, Words.companyDomain(outreach))
    }
  }

  readonly filing = (n: number): Row => ({
    dol_id: this.id("filing", n),
    outreach_id: this.id("outreach", n),
    ein: `${10 + (n % 89)}-${1_000_000 + n}`,
    filing_present: n % 3 > 0
  })

  /** The last fifth never sends, and has totals from a time before this product. */
  readonly campaign = (n: number): Row => {
    const random = this.random("campaign", n)
    const old = n >= this.#sendingCampaigns()
    const sent = old ? random.between(100, 900) : 0
    return {
      campaign_id: this.id("campaign", n),
      campaign_name: `${random.pick(["Renewal", "Broker switch", "New executive", "Form 5500"])} ${n}`,
      campaign_type: random.pick(Words.campaignTypes),
      campaign_status: old ? "completed" : random.pick(Words.campaignStatuses),
      total_targeted: sent,
      total_sent: sent,
      total_opened: Math.floor(sent * 0.4),
      total_clicked: Math.floor(sent * 0.1),
      total_replied: Math.floor(sent * 0.03),
      start_date: this.ago(random, random.between(0, 120)).slice(0, 10)
    }
  }

  readonly #sendingCampaigns = () => Math.ceil(this.#sizes.campaigns * 0.8)

  readonly sequence = (n: number): Row => ({
    sequence_id: this.id("sequence", n),
    campaign_id: this.id("campaign", Math.floor(n / 3)),
    sequence_name: ["Opening", "Follow-up", "Last call"][n % 3],
    sequence_order: 1 + n % 3,
    subject_template: "A question about {{company_name}}",
    body_template: "Hello {{first_name}},\n…",
    delay_days: (n % 3) * 3
  })

  /** In every state from planned to replied; some name a person twice, some none at all. */
  readonly send = (n: number): Row => {
    const random = this.random("send", n)
    const person = random.between(0, this.#sizes.people - 1)
    const outreach = person % this.#sizes.outreaches
    const campaign = random.chance(0.03) ? null : random.between(0, this.#sendingCampaigns() - 1)
    const known = random.chance(0.93)
    const address = Words.email(person, Words.companyDomain(outreach))
    const age = random.between(0, 60)
    const reached = random.between(0, 9) // 0, 1: not sent yet … 9: replied
    const at = (state: number) => reached >= state ? this.ago(random, age - state * 0.01) : null
    return {
      send_id: this.id("send", n),
      campaign_id: campaign === null ? null : this.id("campaign", campaign),
      sequence_id: campaign === null ? null : this.id("sequence", campaign * 3 + random.between(0, 2)),
      person_id: known ? this.id("person", person) : null,
      target_id: known ? this.id("target", outreach) : null,
      company_unique_id: this.companyOf(outreach),
      email_to: random.chance(0.1) ? address.toUpperCase() : address,
      email_subject: `A question about ${Words.companyName(outreach)}`,
      send_status: ["pending", "scheduled", "bounced", "sent", "sent", "delivered", "opened", "opened", "clicked", "replied"][reached],
      scheduled_at: at(1),
      sent_at: at(2),
      delivered_at: at(5),
      bounced_at: reached === 2 ? this.ago(random, age - 0.03) : null,
      opened_at: at(6),
      clicked_at: at(8),
      replied_at: at(9),
      open_count: reached >= 6 ? random.between(1, 5) : 0,
      click_count: reached >= 8 ? 1 : 0
    }
  }

  readonly event = (n: number): Row => {
    const random = this.random("event", n)
    const person = random.between(0, this.#sizes.people - 1)
    const outreach = person % this.#sizes.outreaches
    const type = random.pick(Words.eventMix)
    return {
      event_id: this.id("event", n),
      person_id: random.chance(0.9) ? this.id("person", person) : null,
      target_id: random.chance(0.8) ? this.id("target", outreach) : null,
      outreach_id: random.chance(0.9) ? this.id("outreach", outreach) : null,
      company_unique_id: random.chance(0.5) ? null : random.chance(0.9) ? this.companyOf(outreach) : `ext-${random.between(1, 9)}`,
      event_type: type,
      event_subtype: type === "email_bounce" ? random.pick(["hard", "soft"]) : null,
      event_ts: this.ago(random, random.fraction() * 60),
      source_system: random.pick(Words.eventSources),
      source_campaign_id: random.chance(0.4) ? `ext-campaign-${random.between(1, 20)}` : null,
      metadata: random.chance(0.3) ? { device: random.pick(["phone", "desktop"]), score: 0.1 + n } : {},
      event_hash: random.uuid().replaceAll("-", ""),
      is_duplicate: random.pick([false, false, false, false, false, false, false, false, null, true])
    }
  }

  /** One to eight signals of an outreach. */
  readonly signalsOf = (outreach: number): Iterable<Row> => {
    const count = this.random("signals", outreach).between(1, 8)
    return generate(count, (n) => this.signal(outreach, outreach * 10 + n))
  }

  readonly signal = (outreach: number, n: number): Row => {
    const random = this.random("signal", n)
    const spoke = random.pick(Words.spokes)
    const decay = random.pick([30, 60, 90, 180])
    const age = random.chance(0.06) ? -random.fraction() * 20 : random.chance(0.1) ? decay + random.fraction() * 100 : random.fraction() * decay
    const impact = random.between(100, 4_000) / 100
    return {
      signal_id: this.id("signal", n),
      outreach_id: this.id("outreach", outreach),
      signal_type: random.pick<string>(spoke.types),
      signal_impact: String(random.chance(0.1) ? -impact : random.chance(0.2) ? Math.floor(impact) + 0.5 : impact),
      source_spoke: random.pick<string>(spoke.spellings),
      correlation_id: random.uuid(),
      process_id: random.chance(0.5) ? random.uuid() : null,
      signal_metadata: random.chance(0.5) ? { confidence: random.between(1, 100) / 100 } : null,
      decay_period_days: decay,
      signal_timestamp: this.ago(random, age)
    }
  }

  readonly bitError = (n: number): Row => ({
    error_id: this.id("bit-error", n),
    outreach_id: this.id("outreach", n),
    pipeline_stage: "calculate_score",
    failure_code: "BIT-CALC-00" + (n % 3),
    blocking_reason: "The signal named no known spoke.",
    raw_input: { n }
  })

  readonly context = (n: number): Row => ({
    outreach_context_id: `OCTX-${String(n).padStart(6, "0")}`,
    status: n % 4 === 0 ? "closed" : "active"
  })

  readonly spend = (n: number): Row => ({
    outreach_context_id: `OCTX-${String(Math.floor(n / 4)).padStart(6, "0")}`,
    company_sov_id: this.id("company", n),
    tool_name: ["firecrawl", "hunter", "clay"][n % 3],
    tier: n % 3,
    cost_credits: String((n % 40) / 8)
  })
}

/** `make(0)` … `make(count - 1)`, made as they are asked for. */
export function* generate(count: number, make: (n: number) => Row): Iterable<Row> {
  for (let n = 0; n < count; n++) yield make(n)
}
