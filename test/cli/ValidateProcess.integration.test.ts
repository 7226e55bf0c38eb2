import { assert, layer } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { freePort, startCdc } from "../support/CdcProcess.ts"
import * as TestConfig from "../support/TestConfig.ts"
import { TestDatabase } from "../support/TestDatabase.ts"
import { TestTopics } from "../support/TestTopics.ts"

/** Runs a verb to its end: exit code, what it printed for machines, what it said. */
const cdc = Effect.fnUntraced(function*(args: ReadonlyArray<string>, more: Readonly<Record<string, string>> = {}) {
  const environment = TestConfig.environment(yield* TestDatabase, yield* TestTopics)
  const process = startCdc(args, { ...environment, CDC_PIPELINES_ENABLED: "campaign-totals", ...more })
  const code = yield* Effect.promise(() => process.ended)
  return { code, said: process.said() }
})

layer(Layer.mergeAll(TestDatabase.layer, TestTopics.layer), { excludeTestServices: true })("cdc validate and setup, as processes", (it) => {
  it.effect("validate tells, setup refuses with all of it and makes nothing; once it is mended both succeed", () =>
    Effect.gen(function*() {
      const database = yield* TestDatabase
      const { admin, prefix } = yield* TestTopics
      yield* Effect.promise(() => database.query(`
        create schema outreach; create table outreach.send_log (send_log_id uuid, campaign_id uuid, status text);
        create table outreach.campaigns (campaign_id uuid primary key, total_targeted int, total_sent int, total_opened int, total_clicked int, total_replied int, updated_at timestamptz)`))
      const wrong = { CDC_SOURCE_TABLES: "outreach.send_log, outreach.campaigns, outreach.gone", CDC_COLUMNS_EXCLUDE: "outreach.send_log.campaign_id" }

      const told = yield* cdc(["validate"], wrong)
      assert.strictEqual(told.code, 1)
      assert.match(told.said, /✗ Table outreach\.send_log has no replica identity[^]*→ give it a primary key/)
      assert.match(told.said, /✓ wal_level +logical/)

      const refused = yield* cdc(["setup"], wrong)
      assert.strictEqual(refused.code, 3)
      for (const thing of [/^3 things are in the way:/m, /^- Table outreach\.gone .*take it off source\.tables/m, /^- Table outreach\.send_log has no replica identity/m,
        /^- columns\.exclude names outreach\.send_log\.campaign_id, which pipeline campaign-totals reads/m]) assert.match(refused.said, thing)
      assert.deepStrictEqual((yield* Effect.promise(() => admin.listTopics())).filter((topic) => topic.startsWith(prefix)), [])

      yield* Effect.promise(() => database.query("alter table outreach.send_log add primary key (send_log_id)"))
      const right = { CDC_SOURCE_TABLES: "outreach.send_log, outreach.campaigns" }
      const made = yield* cdc(["setup"], right)
      assert.strictEqual(made.code, 0, made.said)
      const fine = yield* cdc(["validate", "--json"], right)
      assert.strictEqual(fine.code, 0, fine.said)
      const report = JSON.parse(fine.said) as { errors: number; warnings: number; checks: ReadonlyArray<{ name: string; findings: ReadonlyArray<unknown> }> }
      assert.deepInclude(report, { errors: 0, warnings: 0 })
      assert.isTrue(report.checks.some(({ name }) => name === "max.message.bytes"))
      yield* cdc(["teardown", "--confirm"], right)
    }), 90_000)

  it.effect("a pipeline does not start on columns that it can't read", () =>
    Effect.gen(function*() {
      const stopped = yield* cdc(["pipeline", "campaign-totals"], {
        CDC_SOURCE_TABLES: "outreach.send_log, outreach.campaigns", CDC_COLUMNS_HASH: "outreach.send_log.campaign_id", CDC_COLUMNS_HASH_SALT: "a long and secret salt", PORT: String(yield* Effect.promise(freePort))
      })
      assert.strictEqual(stopped.code, 2)
      assert.match(stopped.said, /columns\.hash names outreach\.send_log\.campaign_id, which pipeline campaign-totals reads/)
      assert.notInclude(stopped.said, "a long and secret salt")
    }))
})
