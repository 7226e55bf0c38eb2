import { assert, layer } from "@effect/vitest"
import { Effect, Layer } from "effect"
import * as Hub from "../../../src/embedded/hub/Hub.ts"
import * as TestHub from "../../support/TestHub.ts"
import { countsOf, differencesAfter, type Statement } from "./Planted.ts"
import * as RightAggregates from "./RightAggregates.ts"

/** A hub with every kind of row, and aggregates that a third computation says are right. */
const FilledHub = Layer.effectDiscard(
  Effect.andThen(Hub.prepare({ companies: 300, seed: 12, badInput: true }), RightAggregates.fill)
).pipe(Layer.provideMerge(TestHub.layer))

// An outreach of a company of its own, with ids that sort and read well.
const company = "c0000000-0000-4000-8000-000000000001"
const outreach = "00000000-0000-4000-8000-000000000001"
const campaign = "ca000000-0000-4000-8000-000000000001"
const person = "e0000000-0000-4000-8000-000000000001"
const uuid = (n: number) => `5${String(n).padStart(7, "0")}-0000-4000-8000-000000000000`

const addOutreach: ReadonlyArray<Statement> = [
  `insert into cl.company_identity (company_unique_id, company_name) values ('${company}', 'Made by hand')`,
  `insert into outreach.outreach (outreach_id, sovereign_id) values ('${outreach}', '${company}')`,
  `insert into outreach.people (person_id, outreach_id, email) values ('${person}', '${outreach}', 'by-hand@example.com')`
]
/** impact, spoke, decay and instant of a signal; its mirror is written by hand, too. */
const addSignal = (n: number, impact: string, spoke: string, decay: number, at: string): ReadonlyArray<Statement> => [
  `insert into outreach.bit_signals (signal_id, outreach_id, signal_type, signal_impact, source_spoke, correlation_id, decay_period_days, signal_timestamp)
  values ('${uuid(n)}', '${outreach}', 'made', ${impact}, '${spoke}', gen_random_uuid(), ${decay}, '${at}')`
]
const mirrorSignal = (n: number, strength: number, spoke: string, at: string): ReadonlyArray<Statement> => [
  `insert into bit.bit_signal (signal_id, company_unique_id, signal_type, signal_strength, source, captured_at)
  values (${90_000 + n}, '${company}', 'made', ${strength}, '${spoke}', '${at}')`,
  `insert into cdc.surrogates values ('legacy-mirrors', 'outreach.bit_signals', '${uuid(n)}', ${90_000 + n})`
]
const score = (columns: string, values: string): Statement =>
  `insert into outreach.bit_scores (outreach_id, last_scored_at, ${columns}) values ('${outreach}', '2026-06-01T00:00:00Z', ${values})`
const companyScore = (columns: string, values: string): Statement =>
  `insert into bit.bit_company_score (company_unique_id, email_score, linkedin_score, website_score, ${columns}) values ('${company}', 0, 0, 0, ${values})`

/** 10 × ½ people and 30 − 2.5 of no component: 32.50, WARM. */
const handMade: ReadonlyArray<Statement> = [
  ...addOutreach,
  ...addSignal(1, "10", "people_node", 90, "2026-04-17T00:00:00Z"),
  ...addSignal(2, "30", "company_target", 30, "2026-07-01T00:00:00Z"), // in the future: full
  ...addSignal(3, "-2.5", "unheard-of", 7, "2026-06-01T00:00:00Z"),
  ...addSignal(4, "99", "dol", 0, "2026-06-01T00:00:00Z"), // bad for the score, not for the mirror
  ...addSignal(5, "'NaN'", "dol", 90, "2026-06-01T00:00:00Z"), // bad for both
  ...mirrorSignal(1, 10, "people_node", "2026-04-17"),
  ...mirrorSignal(2, 30, "company_target", "2026-07-01"),
  ...mirrorSignal(3, -3, "unheard-of", "2026-06-01"),
  ...mirrorSignal(4, 99, "dol", "2026-06-01"),
  companyScore("score, score_tier, signal_count, last_signal_at", "33, 'WARM', 4, '2026-07-01'")
]
const rightScore = "score, score_tier, signal_count, people_score, last_signal_at"
const rightValues = "32.50, 'WARM', 3, 5, '2026-07-01T00:00:00Z'"

layer(FilledHub, { excludeTestServices: true })("the oracles", (it) => {
  it.effect("agree with a computation of their own kind, and count what is nobody's", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* differencesAfter(), [])
      const { drifted, unmanaged } = yield* countsOf("outreach.bit_scores")
      assert.deepStrictEqual({ drifted, unmanaged }, { drifted: 0n, unmanaged: 6n })
      assert.strictEqual((yield* countsOf("outreach.campaigns")).unmanaged, 1n)
      assert.strictEqual((yield* countsOf("bit.bit_company_score")).unmanaged, 4n)
      assert.strictEqual((yield* countsOf("bit.bit_contact_score")).unmanaged, 4n)
      assert.isAbove(Number((yield* countsOf("bit.bit_signal")).unmanaged), 8)
    }))

  it.effect("agree with numbers made by hand", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* differencesAfter(...handMade, score(rightScore, rightValues)), [])
    }))

  const key = `outreach.bit_scores ${outreach}`
  const wrongScores: Record<string, [Statement, ReadonlyArray<string>]> = {
    "a score off by 0.02, but its own tier": [score(rightScore, "32.52, 'WARM', 3, 5, '2026-07-01T00:00:00Z'"), [`${key} score: 32.52 → 32.50`]],
    "no score off by 0.01": [score(rightScore, "32.51, 'WARM', 3, 5.01, '2026-07-01T00:00:00Z'"), []],
    "a component": [score(rightScore, "32.50, 'WARM', 3, 5.02, '2026-07-01T00:00:00Z'"), [`${key} people_score: 5.02 → 5.00`]],
    "a component of a spoke that has none": [
      score(`${rightScore}, dol_score`, "32.50, 'WARM', 3, 5, '2026-07-01T00:00:00Z', 30"),
      [`${key} dol_score: 30 → 0.00`]
    ],
    "a bad signal that was counted": [score(rightScore, "32.50, 'WARM', 4, 5, '2026-07-01T00:00:00Z'"), [`${key} signal_count: 4 → 3`]],
    "a tier that is not the score's": [
      score(rightScore, "32.50, 'HOT', 3, 5, '2026-07-01T00:00:00Z'"),
      [`bit.bit_company_score ${company} score_tier: WARM → HOT`, `${key} score_tier: HOT → WARM`]
    ],
    "a microsecond": [
      score(rightScore, "32.50, 'WARM', 3, 5, '2026-07-01T00:00:00.000001Z'"),
      [`${key} last_signal_at: 2026-07-01 00:00:00.000001+00 → 2026-07-01 00:00:00+00`]
    ]
  }
  for (const [name, [planted, expected]] of Object.entries(wrongScores)) {
    it.effect(`find in outreach.bit_scores: ${name}`, () =>
      Effect.gen(function*() {
        assert.deepStrictEqual(yield* differencesAfter(...handMade, planted), expected.toSorted())
      }))
  }

  it.effect("find in outreach.bit_scores: rows that are missing, never scored, or should be empty", () =>
    Effect.gen(function*() {
      const companyGone = [`bit.bit_company_score ${company} score: 33 → 0`, `bit.bit_company_score ${company} score_tier: WARM → COLD`]
      assert.deepStrictEqual(yield* differencesAfter(...handMade), [...companyGone, `${key} (row): absent → present`])
      assert.deepStrictEqual(
        yield* differencesAfter(...handMade, score(rightScore, rightValues), "update outreach.bit_scores set last_scored_at = null where outreach_id = '" + outreach + "'"),
        [`${key} last_scored_at: null → an instant`]
      )
      const withoutSignals = [...addOutreach, score(rightScore, rightValues)]
      assert.deepStrictEqual(yield* differencesAfter(...withoutSignals), [], "nobody's")
      assert.deepStrictEqual(
        yield* differencesAfter(...withoutSignals, `insert into cdc.managed values ('bit-scores', 'outreach.bit_scores', '${outreach}')`),
        [
          `${key} last_signal_at: 2026-07-01 00:00:00+00 → null`,
          `${key} people_score: 5 → 0`,
          `${key} score: 32.50 → 0`,
          `${key} signal_count: 3 → 0`
        ]
      )
      const zeros = `update outreach.bit_scores set score = 0, score_tier = 'COLD', signal_count = 0, people_score = 0, last_signal_at = null where outreach_id = '${outreach}'`
      assert.deepStrictEqual(
        yield* differencesAfter(...withoutSignals, `insert into cdc.managed values ('bit-scores', 'outreach.bit_scores', '${outreach}')`, zeros),
        []
      )
    }))

  it.effect("clamp the score, not its components; know instants without end and very long decays", () =>
    Effect.gen(function*() {
      const values = [
        ...addOutreach,
        ...addSignal(1, "1000", "dol", 2_000_000_000, "2026-06-01T00:00:00Z"),
        ...addSignal(2, "-3", "blog", 90, "infinity"),
        ...addSignal(3, "500", "blog", 90, "-infinity"),
        ...mirrorSignal(1, 1000, "dol", "2026-06-01"),
        ...mirrorSignal(2, -3, "blog", "infinity"),
        ...mirrorSignal(3, 500, "blog", "-infinity"),
        companyScore("score, score_tier, signal_count, last_signal_at", "100, 'BURNING', 3, 'infinity'")
      ]
      const stored = score("score, score_tier, signal_count, dol_score, blog_score, last_signal_at", "100, 'BURNING', 3, 1000, -3, 'infinity'")
      assert.deepStrictEqual(yield* differencesAfter(...values, stored), [])
    }))

  it.effect("find every wrong total of a campaign, and leave campaigns without sends alone", () =>
    Effect.gen(function*() {
      const at = "'2026-06-01T00:00:00Z'"
      const sends: ReadonlyArray<Statement> = [
        ...addOutreach,
        `insert into outreach.send_log (campaign_id, person_id, email_to, sent_at, opened_at, clicked_at, replied_at) values
          ('${campaign}', '${person}', 'a@example.com', ${at}, ${at}, ${at}, ${at}), ('${campaign}', '${person}', 'b@example.com', ${at}, ${at}, null, null),
          ('${campaign}', null, 'A@example.com', ${at}, null, null, null), ('${campaign}', null, 'a@EXAMPLE.com', null, null, null, null),
          ('${campaign}', null, 'É@example.com', null, null, null, null), ('${campaign}', null, 'é@example.com', null, null, null, null),
          (null, null, 'x@example.com', ${at}, ${at}, ${at}, ${at})`
      ]
      const make = (values: string): Statement =>
        `insert into outreach.campaigns (campaign_id, campaign_name, total_targeted, total_sent, total_opened, total_clicked, total_replied)
        values ('${campaign}', 'By hand', ${values})`
      assert.deepStrictEqual(yield* differencesAfter(make("4, 3, 2, 1, 1"), ...sends), [])
      assert.deepStrictEqual(yield* differencesAfter(make("5, 4, 3, 2, 0"), ...sends), [
        `outreach.campaigns ${campaign} total_clicked: 2 → 1`,
        `outreach.campaigns ${campaign} total_opened: 3 → 2`,
        `outreach.campaigns ${campaign} total_replied: 0 → 1`,
        `outreach.campaigns ${campaign} total_sent: 4 → 3`,
        `outreach.campaigns ${campaign} total_targeted: 5 → 4`
      ])
      assert.deepStrictEqual(yield* differencesAfter(make("5, 0, 0, 0, 0")), [])
      assert.deepStrictEqual(
        yield* differencesAfter(make("5, 0, 0, 0, 0"), `insert into cdc.managed values ('campaign-totals', 'outreach.campaigns', '${campaign}')`),
        [`outreach.campaigns ${campaign} total_targeted: 5 → 0`]
      )
    }))

  it.effect("find in bit.bit_signal: rows too few and too many, and every wrong column", () =>
    Effect.gen(function*() {
      const row = `outreach.bit_signals:${uuid(1)}`
      const scored = [...handMade, score(rightScore, rightValues)]
      const changed = (set: string) => differencesAfter(...scored, `update bit.bit_signal set ${set} where signal_id = 90001`)
      assert.deepStrictEqual(yield* differencesAfter(...scored, "delete from bit.bit_signal where signal_id = 90001"), [`bit.bit_signal ${row} (row): absent → present`])
      assert.deepStrictEqual(yield* differencesAfter(...scored, `delete from cdc.surrogates where id = 90001`), [`bit.bit_signal ${row} (row): absent → present`])
      assert.deepStrictEqual(
        yield* differencesAfter(...scored, `insert into cdc.surrogates values ('legacy-mirrors', 'outreach.bit_signals', '${uuid(5)}', 90005)`, "insert into bit.bit_signal (signal_id) values (90005)"),
        [`bit.bit_signal outreach.bit_signals:${uuid(5)} (row): present → absent`]
      )
      const columns: Record<string, string> = {
        "company_unique_id = null": `company_unique_id: null → ${company}`,
        "contact_unique_id = 'x'": "contact_unique_id: x → null",
        "signal_type = 'x'": "signal_type: x → made",
        "signal_strength = 11": "signal_strength: 11 → 10",
        "source = 'people'": "source: people → people_node",
        "source_campaign_id = ''": "source_campaign_id:  → null",
        "metadata = 'null'": "metadata: null → null",
        "captured_at = '2026-04-17 02:00'": "captured_at: 2026-04-17 02:00:00 → 2026-04-17 00:00:00"
      }
      for (const [set, expected] of Object.entries(columns)) {
        assert.deepStrictEqual(yield* changed(set), [`bit.bit_signal ${row} ${expected}`])
      }
    }))

  const addEvents: ReadonlyArray<Statement> = [
    ...addOutreach,
    `insert into outreach.engagement_events (event_id, person_id, outreach_id, company_unique_id, event_type, event_ts, source_system, is_duplicate, metadata) values
      ('${uuid(1)}', '${person}', '${outreach}', null, 'form_submit', '2026-06-01T12:00:00Z', null, null, '{"a": 1.50}'),
      ('${uuid(2)}', '${person}', '${outreach}', '${company}', 'email_reply', '2026-06-02T12:00:00Z', 'x', false, null),
      ('${uuid(3)}', '${person}', '${outreach}', null, 'email_bounce', '2026-06-03T12:00:00Z', 'x', true, null)`,
    `insert into bit.bit_signal (signal_id, company_unique_id, contact_unique_id, signal_type, signal_strength, source, metadata, captured_at) values
      (90001, '${company}', '${person}', 'form_submit', 8, 'unknown', '{"a": 1.5}', '2026-06-01 12:00'),
      (90002, '${company}', '${person}', 'email_reply', 10, 'x', null, '2026-06-02 12:00')`,
    `insert into cdc.surrogates values ('legacy-mirrors', 'outreach.engagement_events', '${uuid(1)}', 90001),
      ('legacy-mirrors', 'outreach.engagement_events', '${uuid(2)}', 90002), ('legacy-mirrors', 'outreach.engagement_events', '${uuid(3)}', 90003)`,
    `insert into bit.bit_company_score (company_unique_id, score, score_tier, signal_count, last_signal_at, email_score, linkedin_score, website_score)
    values ('${company}', 0, 'COLD', 2, '2026-06-02 12:00', 10, 0, 8)`,
    `insert into bit.bit_contact_score (contact_unique_id, score, signal_count, email_opens, email_clicks, linkedin_views, replies, engagement_tier)
    values ('${person}', 18, 2, 0, 0, 0, 1, 'COLD')`
  ]

  it.effect("find in bit.bit_company_score: every wrong column, and companies too few", () =>
    Effect.gen(function*() {
      const row = `bit.bit_company_score ${company}`
      assert.deepStrictEqual(yield* differencesAfter(...addEvents), [])
      assert.deepStrictEqual(
        yield* differencesAfter(
          ...addEvents,
          `update bit.bit_company_score set score = 1, score_tier = 'WARM', signal_count = 3, last_signal_at = '2026-06-03 12:00', email_score = 5,
            linkedin_score = null, website_score = 0 where company_unique_id = '${company}'`
        ),
        [
          `${row} email_score: 5 → 10`,
          `${row} last_signal_at: 2026-06-03 12:00:00 → 2026-06-02 12:00:00`,
          `${row} linkedin_score: null → 0`,
          `${row} score: 1 → 0`,
          `${row} score_tier: WARM → COLD`,
          `${row} signal_count: 3 → 2`,
          `${row} website_score: 0 → 8`
        ]
      )
      assert.deepStrictEqual(yield* differencesAfter(...addEvents, `delete from bit.bit_company_score where company_unique_id = '${company}'`), [`${row} (row): absent → present`])
    }))

  it.effect("take a company's best score, whichever of its outreaches has it", () =>
    Effect.gen(function*() {
      const other = outreach.replace(/1$/, "2")
      const twoOutreaches: ReadonlyArray<Statement> = [
        ...addEvents,
        `insert into outreach.outreach (outreach_id, sovereign_id) values ('${other}', '${company}')`,
        // Both older than this product; with equal scores, the later word of the two tiers wins.
        `insert into outreach.bit_scores (outreach_id, score, score_tier) values ('${outreach}', 74.5, 'HOT'), ('${other}', 74.5, 'WARM')`
      ]
      const row = `bit.bit_company_score ${company}`
      assert.deepStrictEqual(yield* differencesAfter(...twoOutreaches), [`${row} score: 0 → 75`, `${row} score_tier: COLD → WARM`])
      assert.deepStrictEqual(
        yield* differencesAfter(...twoOutreaches, `update outreach.bit_scores set score = 74.6 where outreach_id = '${outreach}'`),
        [`${row} score: 0 → 75`, `${row} score_tier: COLD → HOT`]
      )
    }))

  it.effect("want zeros of companies and contacts whose last event is gone, once they were ours", () =>
    Effect.gen(function*() {
      const emptied: ReadonlyArray<Statement> = [
        ...addEvents,
        `delete from outreach.engagement_events where outreach_id = '${outreach}'`,
        "delete from bit.bit_signal where signal_id in (90001, 90002)"
      ]
      assert.deepStrictEqual(yield* differencesAfter(...emptied), [])
      const ours = `insert into cdc.managed values ('legacy-mirrors', 'bit.bit_company_score', '${company}'), ('legacy-mirrors', 'bit.bit_contact_score', '${person}')`
      assert.deepStrictEqual(yield* differencesAfter(...emptied, ours), [
        `bit.bit_company_score ${company} email_score: 10 → 0`,
        `bit.bit_company_score ${company} last_signal_at: 2026-06-02 12:00:00 → null`,
        `bit.bit_company_score ${company} signal_count: 2 → 0`,
        `bit.bit_company_score ${company} website_score: 8 → 0`,
        `bit.bit_contact_score ${person} replies: 1 → 0`,
        `bit.bit_contact_score ${person} score: 18 → 0`,
        `bit.bit_contact_score ${person} signal_count: 2 → 0`
      ])
    }))

  it.effect("find in bit.bit_contact_score: every wrong column, and contacts too few", () =>
    Effect.gen(function*() {
      const row = `bit.bit_contact_score ${person}`
      assert.deepStrictEqual(
        yield* differencesAfter(
          ...addEvents,
          `update bit.bit_contact_score set score = 26, signal_count = 3, email_opens = 1, email_clicks = null, linkedin_views = 1, replies = 0,
            engagement_tier = 'WARM' where contact_unique_id = '${person}'`
        ),
        [
          `${row} email_clicks: null → 0`,
          `${row} email_opens: 1 → 0`,
          `${row} engagement_tier: WARM → COLD`,
          `${row} linkedin_views: 1 → 0`,
          `${row} replies: 0 → 1`,
          `${row} score: 26 → 18`,
          `${row} signal_count: 3 → 2`
        ]
      )
      assert.deepStrictEqual(yield* differencesAfter(...addEvents, `delete from bit.bit_contact_score where contact_unique_id = '${person}'`), [`${row} (row): absent → present`])
    }))
})
