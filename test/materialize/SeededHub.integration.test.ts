import { assert, layer } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { Postgres } from "../../src/connections/Postgres.ts"
import * as Hub from "../../src/embedded/hub/Hub.ts"
import { differencesAfter } from "../pipelines/oracle/Planted.ts"
import { Changes, readRows } from "../support/Changes.ts"
import * as TestHub from "../support/TestHub.ts"
import { run } from "./Running.ts"

const SeededHub = Layer.effectDiscard(Hub.prepare({ companies: 300, seed: 12, badInput: true })).pipe(Layer.provideMerge(TestHub.layer))

/** Key columns of what the pipelines read. */
const keys = {
  "outreach.outreach": "outreach_id",
  "outreach.bit_signals": "signal_id",
  "outreach.bit_scores": "outreach_id",
  "outreach.campaigns": "campaign_id",
  "outreach.send_log": "send_id",
  "outreach.engagement_events": "event_id",
  "outreach_ctx.spend_log": "id"
} as const

layer(SeededHub, { excludeTestServices: true })("a seeded hub, read by a snapshot", (it) => {
  it.effect("the pipelines make of it what the oracles say, and a second time change nothing", () =>
    Effect.gen(function*() {
      const postgres = yield* Postgres
      const changes = new Changes()
      const snapshot = Effect.fnUntraced(function*(table: keyof typeof keys) {
        for (const { key, row } of yield* readRows(postgres, table, keys[table])) changes.append(table, "r", key, row)
      })
      for (const table of Object.keys(keys)) if (table !== "outreach.bit_scores") yield* snapshot(table as keyof typeof keys)
      const scores = yield* run("bit-scores", changes)
      const totals = yield* run("campaign-totals", changes)
      assert.isAbove((yield* scores.applyAll()).written, 20)
      assert.isAbove((yield* totals.applyAll()).written, 2)
      const spend = yield* run("context-spend", changes)
      assert.isAbove((yield* spend.applyAll()).written, 10)
      yield* snapshot("outreach.bit_scores")
      const mirrors = yield* run("legacy-mirrors", changes)
      assert.isAbove((yield* mirrors.applyAll()).written, 100)
      assert.deepStrictEqual(yield* differencesAfter(), [])

      for (const table of Object.keys(keys)) yield* snapshot(table as keyof typeof keys)
      assert.strictEqual((yield* totals.applyAll()).written, 0)
      assert.strictEqual((yield* mirrors.applyAll()).written, 0)
      assert.strictEqual((yield* spend.applyAll()).written, 0)
    }))
})
