import { assert, layer } from "@effect/vitest"
import { Effect } from "effect"
import { Postgres } from "../../../src/connections/Postgres.ts"
import { run } from "../../materialize/Running.ts"
import { campaign, fresh, person, rowsOf, send, sendRow, tables } from "../../materialize/SmallHub.ts"
import { Changes } from "../../support/Changes.ts"
import * as TestHub from "../../support/TestHub.ts"

const at = "2026-01-02T00:00:00.000000Z"
/** Targeted, sent, opened, clicked, replied. */
const totals = (n: number) =>
  rowsOf("select total_targeted, total_sent, total_opened, total_clicked, total_replied from outreach.campaigns where campaign_id = $1", [campaign(n)])

const begin = Effect.gen(function*() {
  yield* fresh
  const changes = new Changes(2)
  return { ...yield* run("campaign-totals", changes), changes, query: (yield* Postgres).query }
})

layer(TestHub.layer, { excludeTestServices: true })("campaign-totals", (it) => {
  it.effect("counts a recipient once, by person, else by address with ASCII letters lower-cased", () =>
    Effect.gen(function*() {
      const { applyAll, changes } = yield* begin
      const to = ["Ann@Example.com", "ann@example.COM", "Österreich@example.com", "österreich@example.com", "İ@example.com", "i@example.com"]
      to.forEach((email_to, n) => changes.append(tables.sends, "c", send(n), sendRow(1, { email_to })))
      changes.append(tables.sends, "c", send(10), sendRow(1, { person_id: person(1) }))
      changes.append(tables.sends, "c", send(11), sendRow(1, { person_id: person(1), email_to: "other@example.com" }))
      yield* applyAll()
      assert.deepStrictEqual(yield* totals(1), ["(6,8,0,0,0)"])
      changes.delete(tables.sends, send(0))
      yield* applyAll()
      assert.deepStrictEqual(yield* totals(1), ["(6,7,0,0,0)"], "her other send still counts her")
      changes.delete(tables.sends, send(1))
      yield* applyAll()
      assert.deepStrictEqual(yield* totals(1), ["(5,6,0,0,0)"])
    }))

  it.effect("subtracts what moves, is un-set or goes; the last send leaves zeros", () =>
    Effect.gen(function*() {
      const { applyAll, changes } = yield* begin
      const update = Effect.fnUntraced(function*(of: number, over: Record<string, unknown>) {
        changes.append(tables.sends, "u", send(1), sendRow(of, over))
        yield* applyAll()
        return [...yield* totals(1), ...yield* totals(2)]
      })
      assert.deepStrictEqual(yield* update(1, { opened_at: at, clicked_at: at, replied_at: at }), ["(1,1,1,1,1)", "(0,0,0,0,0)"])
      assert.deepStrictEqual(yield* update(1, { clicked_at: at, sent_at: null }), ["(1,0,0,1,0)", "(0,0,0,0,0)"])
      assert.deepStrictEqual(yield* update(2, { opened_at: at }), ["(0,0,0,0,0)", "(1,1,1,0,0)"])
      assert.deepStrictEqual(yield* update(2, { campaign_id: null }), ["(0,0,0,0,0)", "(0,0,0,0,0)"])
    }))

  it.effect("leaves a campaign alone that never sent, and fills one that comes after its sends", () =>
    Effect.gen(function*() {
      const { applyAll, changes, query } = yield* begin
      yield* query("Editing", "update outreach.campaigns set total_sent = 7, total_targeted = 7")
      changes.append(tables.campaigns, "r", campaign(1), {})
      changes.append(tables.sends, "c", send(1), sendRow(3))
      assert.deepInclude(yield* applyAll(), { written: 0, orphans: 0 })
      assert.deepStrictEqual(yield* totals(1), ["(7,7,0,0,0)"])
      yield* query("Inserting", "insert into outreach.campaigns (campaign_id, campaign_name) values ($1, 'Late')", [campaign(3)])
      changes.append(tables.campaigns, "c", campaign(3), {})
      yield* applyAll()
      assert.deepStrictEqual(yield* totals(3), ["(1,1,0,0,0)"])
    }))

  it.effect("a truncate takes every send away, and those that come after it count", () =>
    Effect.gen(function*() {
      const { applyAll, changes } = yield* begin
      for (let n = 0; n < 20; n++) changes.append(tables.sends, "c", send(n), sendRow(1, { person_id: person(n) }))
      yield* applyAll()
      assert.deepStrictEqual(yield* totals(1), ["(20,20,0,0,0)"])
      changes.truncate(tables.sends)
      changes.append(tables.sends, "c", send(3), sendRow(1))
      yield* applyAll()
      assert.deepStrictEqual(yield* totals(1), ["(1,1,0,0,0)"])
    }))
})
