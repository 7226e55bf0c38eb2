import { assert, layer } from "@effect/vitest"
import { Effect } from "effect"
import { Postgres } from "../../src/connections/Postgres.ts"
import { Changes } from "../support/Changes.ts"
import * as TestHub from "../support/TestHub.ts"
import { run } from "./Running.ts"
import { campaign, fresh, outreach, outreachRow, pendingKeys, rowsOf, send, sendRow, signal, signalRow, tables } from "./SmallHub.ts"

const otherWrites = rowsOf("select other_writes from cdc.pipelines")

layer(TestHub.layer, { excludeTestServices: true })("who else writes the same row", (it) => {
  it.effect("at the same instant, other columns of it, loses nothing, and nor do the totals", () =>
    Effect.gen(function*() {
      yield* fresh
      const postgres = yield* Postgres
      const changes = new Changes(1)
      const { applyAll, materializer } = yield* run("campaign-totals", changes)
      const rounds = 40
      const totals = Effect.gen(function*() {
        for (let n = 0; n < rounds; n++) {
          changes.append(tables.sends, "c", send(n), sendRow(1, { email_to: `${n}@example.com` }))
          yield* applyAll()
          yield* materializer.retryPending
        }
      })
      /** Reads, thinks, and writes what it read and one more; the row is held meanwhile. */
      const person = Effect.gen(function*() {
        for (let n = 0; n < rounds; n++) {
          yield* postgres.transaction((sql) =>
            Effect.gen(function*() {
              const [row] = yield* sql.query<{ daily_send_limit: number | null }>("Reading", "select daily_send_limit from outreach.campaigns where campaign_id = $1 for update", [campaign(1)])
              yield* sql.query("Editing", "update outreach.campaigns set daily_send_limit = $2, campaign_name = $3 where campaign_id = $1", [campaign(1), (row!.daily_send_limit ?? 0) + 1, `edit ${n}`])
            }))
          assert.deepStrictEqual(yield* rowsOf("select campaign_name from outreach.campaigns where campaign_id = $1", [campaign(1)]), [`("edit ${n}")`])
        }
      })
      yield* postgres.query("Beginning", "update outreach.campaigns set daily_send_limit = 0")
      yield* Effect.all([totals, person], { concurrency: 2 })
      while ((yield* materializer.retryPending).settled > 0);
      assert.deepStrictEqual(yield* pendingKeys, [])
      assert.deepStrictEqual(
        yield* rowsOf("select daily_send_limit, total_sent, total_targeted from outreach.campaigns where campaign_id = $1", [campaign(1)]),
        [`(${rounds},${rounds},${rounds})`]
      )
    }), 30_000)

  it.effect("and scores it as we do is counted, once for each time; its value stays until the key changes", () =>
    Effect.gen(function*() {
      yield* fresh
      const { query } = yield* Postgres
      let clock = 1_767_225_600_000_000n
      const changes = new Changes(1)
      const { applyAll } = yield* run("bit-scores", changes, { now: () => clock })
      const score = Effect.fnUntraced(function*(n: number, impact: string) {
        clock += 1_000_000n
        changes.append(tables.signals, "u", signal(n), signalRow(n, { signal_impact: impact, decay_period_days: 2_000_000 }))
        yield* applyAll()
      })
      yield* score(1, "10")
      yield* score(2, "10")
      yield* score(1, "20")
      assert.deepStrictEqual(yield* otherWrites, ["(0)"])
      yield* query("Scoring", "update outreach.bit_scores set score = 77, last_scored_at = last_scored_at + interval '1 hour' where outreach_id = $1", [outreach(1)])
      yield* score(2, "30")
      assert.deepStrictEqual(yield* rowsOf("select score from outreach.bit_scores"), ["(30.00)", "(77)"])
      assert.deepStrictEqual(yield* otherWrites, ["(0)"])
      yield* score(1, "40")
      yield* score(1, "50")
      assert.deepStrictEqual(yield* rowsOf("select score from outreach.bit_scores"), ["(30.00)", "(50.00)"])
      assert.deepStrictEqual(yield* otherWrites, ["(1)"])
    }))

  it.effect("may be ourselves: what we wrote comes back through its topic, and is no work", () =>
    Effect.gen(function*() {
      yield* fresh
      const changes = new Changes(1)
      const now = () => 1_767_225_600_000_000n
      const [scores, totals] = [yield* run("bit-scores", changes, { now }), yield* run("campaign-totals", changes)]
      changes.append(tables.signals, "c", signal(1), signalRow(1))
      changes.append(tables.sends, "c", send(1), sendRow(1))
      yield* scores.applyAll()
      yield* totals.applyAll()
      const versions = rowsOf("select xmin, ctid from outreach.bit_scores union all select xmin, ctid from outreach.campaigns")
      const before = yield* versions
      changes.append(tables.scores, "c", outreach(1), { outreach_id: outreach(1), score: "10.00", score_tier: "COLD" })
      changes.append(tables.scores, "u", outreach(1), { outreach_id: outreach(1), score: "10.00", score_tier: "COLD" })
      changes.append(tables.campaigns, "u", campaign(1), { campaign_id: campaign(1), total_sent: 1 })
      changes.append(tables.outreach, "u", outreach(1), outreachRow(1))
      assert.deepInclude(yield* scores.applyAll(), { written: 0, held: 0 })
      assert.deepInclude(yield* totals.applyAll(), { written: 0, held: 0 })
      assert.deepStrictEqual(yield* versions, before)
    }))
})
