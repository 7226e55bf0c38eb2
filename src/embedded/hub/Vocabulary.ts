/** The words that the hub's rows are made of; every spelling of a spoke that production has is here. */

/** What each spoke writes into `source_spoke`, and the signals it emits. `company_target` belongs to no component. */
export const spokes = [
  { spellings: ["people", "people_node", "people_subhub"], types: ["title_change", "decision_maker_hired", "slot_filled"] },
  { spellings: ["dol", "dol_node"], types: ["form_5500_filed", "renewal_approaching", "broker_changed"] },
  { spellings: ["blog", "blog_node"], types: ["funding_announced", "benefits_mentioned", "layoff_reported"] },
  { spellings: ["talent_flow", "talent-flow"], types: ["executive_joined", "executive_left"] },
  { spellings: ["company_target"], types: ["target_qualified", "website_visit"] }
] as const

export const eventTypes = [
  "email_open", "email_click", "email_reply", "email_bounce", "linkedin_view", "website_visit", "form_submit"
] as const
export type EventType = (typeof eventTypes)[number]

/** As rows come: opens are common, replies rare. */
export const eventMix: ReadonlyArray<EventType> = [
  "email_open", "email_open", "email_open", "email_open", "email_click", "email_click", "email_reply", "email_bounce",
  "linkedin_view", "linkedin_view", "website_visit", "website_visit", "form_submit"
]

export const eventSources = ["instantly", "heyreach", "website", "smartlead", null] as const
export const campaignTypes = ["cold", "warm", "nurture"] as const
export const campaignStatuses = ["draft", "active", "active", "active", "paused", "completed"] as const
export const states = ["AL", "CA", "IL", "KY", "MD", "NY", "OH", "PA", "TX", "VA"] as const

const first = ["Amber", "Birch", "Cedar", "Delta", "Ember", "Falcon", "Granite", "Harbor", "Iron", "Juniper", "Keystone", "Lumen"]
const second = ["Analytics", "Foods", "Freight", "Health", "Holdings", "Labs", "Logistics", "Manufacturing", "Partners", "Works"]
const people = ["ada", "blaise", "edsger", "Grace", "hedy", "Joan", "katherine", "leslie", "margaret", "Radia", "tony", "wanda"]

export const companyName = (n: number): string =>
  `${first[n % first.length]} ${second[Math.floor(n / first.length) % second.length]} ${n}`

/** Reserved for examples (RFC 2606): mail to it reaches nobody. */
export const companyDomain = (n: number): string => `company-${n}.${n % 5 === 0 ? "example.com" : "test"}`

/** Some are spelled with capitals, as people type them. */
export const email = (person: number, domain: string): string => `${people[person % people.length]}.${person}@${domain}`
