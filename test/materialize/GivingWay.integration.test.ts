import { assert, layer } from "@effect/vitest"
import { Effect } from "effect"
import type pg from "pg"
import { Postgres } from "../../src/connections/Postgres.ts"
import { Changes } from "../support/Changes.ts"
import * as TestHub from "../support/TestHub.ts"
import { run } from "./Running.ts"
import { campaign, company, event, eventRow, fresh, outreach, outreachRow, pendingKeys, rowsOf, send, sendRow, signal, signalRow, tables } from "./SmallHub.ts"

const now = () => 1_767_225_600_000_000n

/** A transaction of the hub, open until it is told otherwise. */
const hub = Effect.gen(function*() {
  const client: pg.Client = yield* (yield* Postgres).connect({})
  yield* Effect.promise(() => client.query("set statement_timeout = '5s'"))
  const say = (statement: string, parameters: ReadonlyArray<unknown> = []) => Effect.promise(() => client.query(statement, [...parameters]))
  yield* say("begin")
  return say
})

layer(TestHub.layer, { excludeTestServices: true })("the hub goes first", (it) => {
  it.effect("a campaign that somebody holds is pending, the batch commits, and a retry writes it once it is free", () =>
    Effect.gen(function*() {
      yield* fresh
      const changes = new Changes(1)
      const { applyAll, materializer } = yield* run("campaign-totals", changes)
      const say = yield* hub
      yield* say("select from outreach.campaigns where campaign_id = $1 for update", [campaign(1)])
      changes.append(tables.sends, "c", send(1), sendRow(1))
      changes.append(tables.sends, "c", send(2), sendRow(2))
      assert.deepInclude(yield* applyAll(), { changes: 2, written: 1, held: 1 })
      assert.deepStrictEqual(yield* pendingKeys, [`(outreach.campaigns,${campaign(1)})`])
      assert.deepStrictEqual(yield* materializer.retryPending, { settled: 0, held: 1 })
      yield* say("commit")
      assert.deepStrictEqual(yield* materializer.retryPending, { settled: 1, held: 0 })
      assert.deepStrictEqual(yield* pendingKeys, [])
      assert.deepStrictEqual(yield* rowsOf("select total_sent, total_targeted from outreach.campaigns"), ["(1,1)", "(1,1)"])
    }))

  it.effect("what a person wrote into the row meanwhile stays", () =>
    Effect.gen(function*() {
      yield* fresh
      const changes = new Changes(1)
      const { applyAll, materializer } = yield* run("campaign-totals", changes)
      const say = yield* hub
      yield* say("update outreach.campaigns set campaign_name = 'Spring', campaign_status = 'active' where campaign_id = $1", [campaign(1)])
      changes.append(tables.sends, "c", send(1), sendRow(1))
      yield* applyAll()
      yield* say("commit")
      yield* materializer.retryPending
      assert.deepStrictEqual(
        yield* rowsOf("select campaign_name, campaign_status, total_sent from outreach.campaigns where campaign_id = $1", [campaign(1)]),
        ["(Spring,active,1)"]
      )
    }))

  it.effect("a score that somebody holds, and a mirrored row that is to be deleted, are pending, too", () =>
    Effect.gen(function*() {
      yield* fresh
      const changes = new Changes(1)
      const scores = yield* run("bit-scores", changes, { now })
      const mirrors = yield* run("legacy-mirrors", changes)
      changes.append(tables.signals, "c", signal(1), signalRow(1))
      changes.append(tables.events, "c", event(1), eventRow())
      yield* scores.applyAll()
      yield* mirrors.applyAll()
      const say = yield* hub
      yield* say("select from outreach.bit_scores for update")
      yield* say("select from bit.bit_signal for update")
      changes.append(tables.signals, "u", signal(1), signalRow(1, { signal_impact: "50" }))
      changes.append(tables.events, "u", event(1), eventRow({ is_duplicate: true }))
      assert.deepInclude(yield* scores.applyAll(), { held: 1, written: 0 })
      assert.deepInclude(yield* mirrors.applyAll(), { held: 2 })
      yield* say("commit")
      assert.deepStrictEqual(yield* scores.materializer.retryPending, { settled: 1, held: 0 })
      assert.deepStrictEqual(yield* mirrors.materializer.retryPending, { settled: 2, held: 0 })
      assert.deepStrictEqual(yield* rowsOf("select score, score_tier from outreach.bit_scores"), ["(50.00,HOT)"])
      assert.deepStrictEqual(yield* rowsOf("select signal_type, signal_strength from bit.bit_signal"), ["(made,50)"])
    }))

  it.effect("an outreach on its way out gets no score, and nobody waits for anybody", () =>
    Effect.gen(function*() {
      yield* fresh
      const changes = new Changes(1)
      const { applyAll, materializer } = yield* run("bit-scores", changes, { now })
      const say = yield* hub
      yield* say("delete from outreach.outreach where outreach_id = $1", [outreach(1)])
      changes.append(tables.signals, "c", signal(1), signalRow(1))
      assert.deepInclude(yield* applyAll(), { held: 1, written: 0 }, "while the delete is open")
      yield* say("commit")
      assert.deepStrictEqual(yield* materializer.retryPending, { settled: 1, held: 0 })
      assert.deepStrictEqual(yield* rowsOf("select from outreach.bit_scores"), [])
    }))

  it.effect("rows that the hub has inserted and not committed are pending; the others of the batch are written", () =>
    Effect.gen(function*() {
      yield* fresh
      const { query } = yield* Postgres
      yield* query("Inserting", "insert into outreach.outreach (outreach_id, sovereign_id) select gen_random_uuid(), $1 from generate_series(1, 200)", [company(1)])
      const ids = yield* query<{ outreach_id: string }>("Reading", "select outreach_id from outreach.outreach")
      const changes = new Changes(1)
      const { applyAll, materializer } = yield* run("bit-scores", changes, { now })
      const say = yield* hub
      yield* say("insert into outreach.bit_scores (outreach_id, score) values ($1, 5), ($2, 6)", [outreach(1), outreach(2)])
      ids.forEach(({ outreach_id }, n) => changes.append(tables.signals, "c", signal(n), signalRow(1, { outreach_id })))
      assert.deepInclude(yield* applyAll(), { held: 2, written: 200 })
      yield* say("commit")
      assert.deepStrictEqual(yield* materializer.retryPending, { settled: 2, held: 0 })
      assert.deepStrictEqual(yield* rowsOf("select score, count(*) from outreach.bit_scores group by 1"), ["(10.00,202)"])
    }))

  it.effect("more rows held than are tried at once keep no free one waiting", () =>
    Effect.gen(function*() {
      yield* fresh
      const { query } = yield* Postgres
      const changes = new Changes(1)
      const { applyAll, materializer } = yield* run("campaign-totals", changes)
      const ids = Array.from({ length: 1_001 }, (_, n) => campaign(n + 10))
      yield* query("Inserting", "insert into outreach.campaigns (campaign_id, campaign_name) select unnest($1::uuid[]), 'many'", [ids])
      const [long, short] = [yield* hub, yield* hub]
      yield* long("select from outreach.campaigns where campaign_id = any($1) for update", [ids.slice(0, 1_000)])
      yield* short("select from outreach.campaigns where campaign_id = $1 for update", [ids[1_000]])
      ids.slice(0, 1_000).forEach((campaign_id, n) => changes.append(tables.sends, "c", send(n), sendRow(1, { campaign_id })))
      yield* applyAll()
      changes.append(tables.sends, "c", send(1_000), sendRow(1, { campaign_id: ids[1_000] }))
      assert.deepInclude(yield* applyAll(), { held: 1 })
      yield* short("commit")
      // How many are tried at once follows the machine's speed; each goes to the end of the line, and so the free one's turn comes.
      let settled = 0
      for (let tried = 0; tried <= 1_001 && settled === 0;) {
        const retried = yield* materializer.retryPending
        settled = retried.settled
        tried += retried.held
      }
      assert.strictEqual(settled, 1)
    }))

  it.effect("rows whose values stay are not written again", () =>
    Effect.gen(function*() {
      yield* fresh
      const changes = new Changes(1)
      const running = yield* Effect.all([run("bit-scores", changes, { now }), run("campaign-totals", changes), run("legacy-mirrors", changes)])
      const applyAll = Effect.forEach(running, ({ applyAll }) => applyAll())
      changes.append(tables.outreach, "c", outreach(1), outreachRow(1))
      const all = (op: "c" | "u") => {
        changes.append(tables.signals, op, signal(1), signalRow(1))
        changes.append(tables.events, op, event(1), eventRow())
        changes.append(tables.sends, op, send(1), sendRow(1))
      }
      all("c")
      yield* applyAll
      const versions = rowsOf(`select xmin, ctid, updated_at::text from outreach.bit_scores union all select xmin, ctid, updated_at::text from outreach.campaigns
        union all select xmin, ctid, last_updated::text from bit.bit_company_score union all select xmin, ctid, '' from bit.bit_signal`)
      const before = yield* versions
      assert.strictEqual(before.length, 6)
      all("u")
      changes.append(tables.outreach, "u", outreach(1), outreachRow(1))
      assert.deepStrictEqual((yield* applyAll).map(({ changes, written }) => [changes > 0, written]), [[true, 0], [true, 0], [true, 0]])
      assert.deepStrictEqual(yield* versions, before)
    }))

  it.effect("a row of another company's outreach moves with it, and a human-made company row without source is left alone", () =>
    Effect.gen(function*() {
      yield* fresh
      const { query } = yield* Postgres
      yield* query("Inserting", "insert into bit.bit_company_score (company_unique_id, score) values ($1, 77)", [company(2)])
      const changes = new Changes(1)
      const { applyAll } = yield* run("legacy-mirrors", changes)
      const companies = rowsOf("select company_unique_id, score, signal_count, score_tier from bit.bit_company_score")
      changes.append(tables.outreach, "c", outreach(1), outreachRow(1))
      changes.append(tables.outreach, "c", outreach(2), outreachRow(2, 2))
      changes.append(tables.scores, "c", outreach(2), { outreach_id: outreach(2), score: "60", score_tier: "HOT" })
      changes.append(tables.signals, "c", signal(1), signalRow(1))
      yield* applyAll()
      assert.deepStrictEqual(yield* companies, [`(${company(1)},0,1,COLD)`, `(${company(2)},77,,)`])
      changes.append(tables.outreach, "u", outreach(1), outreachRow(1, 2))
      yield* applyAll()
      assert.deepStrictEqual(yield* companies, [`(${company(1)},0,0,COLD)`, `(${company(2)},60,1,HOT)`])
      assert.deepStrictEqual(yield* rowsOf("select company_unique_id from bit.bit_signal"), [`(${company(2)})`])
    }))
})
