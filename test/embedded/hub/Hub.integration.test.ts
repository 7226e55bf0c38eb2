import { assert, layer } from "@effect/vitest"
import { Effect, Layer } from "effect"
import * as Hub from "../../../src/embedded/hub/Hub.ts"
import * as TestHub from "../../support/TestHub.ts"
import { TestDatabase } from "../../support/TestDatabase.ts"

const companies = 400

layer(TestHub.layer, { excludeTestServices: true })("the sample hub", (it) => {
  it.effect("is created and filled once, and only once", () =>
    Effect.gen(function*() {
      const first = yield* Hub.prepare({ companies, seed: 3, badInput: true })
      assert.isTrue(first.wasEmpty)
      assert.isAbove(first.rows, companies * 9)
      assert.deepStrictEqual(yield* Hub.prepare({ companies, seed: 4 }), { wasEmpty: false, rows: 0 })
    }))

  it.effect("has the 18 captured tables, all with a key and all with rows", () =>
    Effect.gen(function*() {
      const { query } = yield* TestDatabase
      const tables = yield* Effect.promise(() => query<{ name: string; key: boolean }>(`
        select nspname || '.' || relname as name, exists (select from pg_index where indrelid = c.oid and indisprimary) as key
        from pg_class c join pg_namespace n on n.oid = relnamespace
        where nspname in ('outreach', 'outreach_ctx', 'cl', 'bit') and relkind = 'r'
          and relname not in ('company_target', 'people', 'dol')`))
      assert.strictEqual(tables.length, 18)
      for (const { key, name } of tables) {
        assert.isTrue(key, name)
        const rows = yield* Effect.promise(() => query(`select from ${name} limit 1`))
        assert.strictEqual(rows.length, 1, name)
      }
    }))

  it.effect("keeps production's proportions", () =>
    Effect.gen(function*() {
      const { query } = yield* TestDatabase
      const [counts] = yield* Effect.promise(() => query(`
        select (select count(*)::int from outreach.outreach) as outreaches, (select count(*)::int from outreach.people) as people,
          (select count(*)::int from cl.company_domains) as domains,
          (select count(distinct outreach_id)::int from outreach.bit_signals where decay_period_days > 0) as scored`))
      assert.deepStrictEqual(counts, { outreaches: 390, people: 1160, domains: 160, scored: 55 })
    }))

  it.effect("can be as small as one likes, and is ten companies then", () =>
    Effect.gen(function*() {
      const { query } = yield* TestDatabase
      yield* Hub.prepare({ companies: 1, badInput: true })
      const [{ n } = {}] = yield* Effect.promise(() => query<{ n: string }>("select count(*) as n from cl.company_identity"))
      assert.strictEqual(n, "10")
    }).pipe(Effect.provide(Layer.fresh(TestHub.layer))))

  it.effect("has every case that the pipelines must get right", () =>
    Effect.gen(function*() {
      const { query } = yield* TestDatabase
      const cases: Record<string, string> = {
        "every spelling": "select 1 from outreach.bit_signals having count(distinct source_spoke) = 10",
        "a negative impact": "select 1 from outreach.bit_signals where signal_impact < 0 and signal_impact <> '-Infinity'",
        "a future signal": "select 1 from outreach.bit_signals where signal_timestamp > now()",
        "an expired signal": "select 1 from outreach.bit_signals where signal_timestamp < now() - decay_period_days * interval '1 day' and decay_period_days > 0",
        "bad signals": "select 1 from outreach.bit_signals where decay_period_days <= 0 or signal_impact in ('NaN', 'Infinity', '-Infinity') having count(*) = 5",
        "every state of a send": "select 1 from outreach.send_log having count(distinct send_status) = 8",
        "a send without a campaign": "select 1 from outreach.send_log where campaign_id is null",
        "a send without a person": "select 1 from outreach.send_log where person_id is null",
        "every type of event": "select 1 from outreach.engagement_events having count(distinct event_type) = 7",
        "duplicates, and unknown": "select 1 from outreach.engagement_events having bool_or(is_duplicate) and bool_or(is_duplicate is null)",
        "an event without a company of its own": "select 1 from outreach.engagement_events where company_unique_id is null",
        "a company with two outreaches": "select sovereign_id from outreach.outreach group by 1 having count(*) = 2",
        "an old score without signals": "select 1 from outreach.bit_scores where outreach_id not in (select outreach_id from outreach.bit_signals)",
        "an old campaign without sends": "select 1 from outreach.campaigns where total_sent > 0 and campaign_id not in (select campaign_id from outreach.send_log where campaign_id is not null)",
        "a legacy row without a source": "select 1 from bit.bit_signal where source = 'legacy_import'",
        "a legacy row to adopt": `
          select 1 from bit.bit_signal old join outreach.bit_signals s on s.signal_timestamp at time zone 'UTC' = old.captured_at
          join outreach.outreach using (outreach_id)
          where old.company_unique_id = sovereign_id::text and old.signal_type = s.signal_type and old.signal_strength = round(s.signal_impact)
            and old.source = s.source_spoke and old.metadata is not distinct from s.signal_metadata`
      }
      for (const [name, statement] of Object.entries(cases)) {
        assert.isAbove((yield* Effect.promise(() => query(statement))).length, 0, name)
      }
    }))
})
