import { assert, layer } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { oracles as all } from "../../pipelines/Oracle.ts"
import { AppConfig } from "../../src/Config.ts"
import { Postgres } from "../../src/connections/Postgres.ts"
import { Activity } from "../../src/embedded/hub/Activity.ts"
import * as Hub from "../../src/embedded/hub/Hub.ts"
import * as Verify from "../../src/run/Verify.ts"
import * as RightAggregates from "../pipelines/oracle/RightAggregates.ts"
import { TestDatabase } from "../support/TestDatabase.ts"
import * as TestHub from "../support/TestHub.ts"

/** Of the pipelines whose targets every hub has. */
const oracles = all.filter(({ pipeline }) => pipeline !== "context-spend")

const FilledHub = Layer.effectDiscard(
  Effect.andThen(Hub.prepare({ companies: 200, seed: 21 }), RightAggregates.fill)
).pipe(Layer.provideMerge(TestHub.layer))

const enabled = (pipelines: ReadonlyArray<string>) => oracles.filter(({ pipeline }) => pipelines.includes(pipeline))

/** `meanwhile` is what the pipelines do while `verify` waits for them. */
const verifyWhile = Effect.fnUntraced(function*(
  meanwhile: Effect.Effect<boolean, never, Postgres>,
  options: { readonly maxDifferences?: number; readonly keys?: ReadonlyArray<string>; readonly stateSchema?: string } = {}
) {
  const { pipelineSettings, pipelines } = yield* AppConfig
  const waited: Array<number> = []
  const verdict = yield* Verify.verify({
    oracles: enabled(pipelines.enabled),
    settings: pipelineSettings,
    stateSchema: "cdc",
    waitUntilApplied: (timeoutMillis) => Effect.andThen(Effect.sync(() => waited.push(timeoutMillis)), meanwhile),
    ...options
  })
  return { verdict, waits: waited.length }
})

const execute = (statement: string) =>
  Effect.flatMap(Postgres, (postgres) => postgres.query("Changing", statement)).pipe(Effect.as(true), Effect.orDie)
const nothing = Effect.succeed(true)

const oneCampaign = "campaign_id = (select campaign_id from outreach.send_log where campaign_id is not null order by campaign_id limit 1)"
const oneScore = "outreach_id = (select outreach_id from outreach.bit_signals order by outreach_id limit 1)"
const oneOf = (table: string, column: string) => `${column} = (select max(${column}) from ${table} where ${column} !~ '^(old|ext)')`
/** One error in each target, none of which makes another. */
const spoil = [
  `update outreach.bit_scores set talent_flow_score = talent_flow_score + 1 where ${oneScore}`,
  `update outreach.campaigns set total_sent = total_sent + 1 where ${oneCampaign}`,
  "update bit.bit_signal set signal_type = 'spoiled' where signal_id = 1000",
  `update bit.bit_company_score set signal_count = signal_count + 1 where ${oneOf("bit.bit_company_score", "company_unique_id")}`,
  `update bit.bit_contact_score set replies = replies + 1 where ${oneOf("bit.bit_contact_score", "contact_unique_id")}`
]
const mend = [
  `update outreach.bit_scores set talent_flow_score = talent_flow_score - 1 where ${oneScore}`,
  `update outreach.campaigns set total_sent = total_sent - 1 where ${oneCampaign}`,
  `update bit.bit_signal set signal_type = (select signal_type from outreach.bit_signals s join cdc.surrogates on key = s.signal_id::text where id = 1000)
    where signal_id = 1000`,
  `update bit.bit_company_score set signal_count = signal_count - 1 where ${oneOf("bit.bit_company_score", "company_unique_id")}`,
  `update bit.bit_contact_score set replies = replies - 1 where ${oneOf("bit.bit_contact_score", "contact_unique_id")}`
]
const spoilAll = execute(spoil.join(";\n"))
const mendAll = execute(mend.join(";\n"))

const totals = (sign: "+" | "-") =>
  execute(`update outreach.campaigns set total_sent = total_sent ${sign} 1, total_opened = total_opened ${sign} 1 where ${oneCampaign}`)
/** As if all of it had happened 40 days earlier, or later. */
const shift = (sign: "+" | "-") =>
  execute(`update outreach.bit_scores set last_scored_at = last_scored_at ${sign} interval '40 days' where ${oneScore};
      update outreach.bit_signals set signal_timestamp = signal_timestamp ${sign} interval '40 days' where ${oneScore};
      update outreach.bit_scores set last_signal_at = last_signal_at ${sign} interval '40 days' where ${oneScore};
      update bit.bit_signal set captured_at = captured_at ${sign} interval '40 days'
        where signal_id in (select id from cdc.surrogates join outreach.bit_signals s on key = s.signal_id::text where ${oneScore})`)

layer(FilledHub, { excludeTestServices: true })("verify", (it) => {
  it.effect("asks once, and waits for nobody, where nothing differs", () =>
    Effect.gen(function*() {
      const { verdict, waits } = yield* verifyWhile(nothing)
      assert.deepStrictEqual({ equal: verdict.equal, rounds: verdict.rounds, applied: verdict.applied, waits }, { equal: true, rounds: 1, applied: true, waits: 0 })
      const { pipelines } = yield* AppConfig
      assert.deepStrictEqual(verdict.targets.map(({ target }) => target), enabled(pipelines.enabled).map(({ target }) => target))
      for (const target of verdict.targets) assert.isAbove(target.compared, 2, target.target)
    }))

  it.effect("reports what stays different in any target, by its key alone", () =>
    Effect.gen(function*() {
      yield* spoilAll
      const { verdict, waits } = yield* verifyWhile(nothing).pipe(Effect.ensuring(mendAll))
      assert.deepStrictEqual([verdict.equal, verdict.rounds, waits], [false, 3, 2])
      assert.deepStrictEqual(
        verdict.targets.map(({ differences, target }) => [target, ...differences.map(({ column }) => column)]),
        [
          ["outreach.bit_scores", "talent_flow_score"],
          ["outreach.campaigns", "total_sent"],
          ["bit.bit_signal", "signal_type"],
          ["bit.bit_company_score", "signal_count"],
          ["bit.bit_contact_score", "replies"]
        ]
      )
    }))

  it.effect("does not report what the pipelines mend while it waits", () =>
    Effect.gen(function*() {
      yield* spoilAll
      const { verdict } = yield* verifyWhile(mendAll)
      assert.deepStrictEqual([verdict.equal, verdict.rounds], [true, 2])
      assert.isTrue(verdict.targets.every(({ differences, unsettled }) => differences.length + unsettled.length === 0))
    }))

  it.effect("calls a row unsettled that is wrong in another way each time", () =>
    Effect.gen(function*() {
      const drift = execute(spoil[1]!)
      yield* drift
      const { verdict, waits } = yield* verifyWhile(drift).pipe(Effect.ensuring(Effect.forEach([1, 2, 3, 4, 5, 6], () => execute(mend[1]!))))
      assert.deepStrictEqual([verdict.equal, verdict.rounds, waits], [true, 6, 5])
      assert.deepStrictEqual(verdict.targets.map(({ unsettled }) => unsettled.length), [0, 1, 0, 0, 0])
      assert.isTrue((yield* verifyWhile(nothing)).verdict.equal)
    }))

  it.effect("finds a lasting error among those that go away", () =>
    Effect.gen(function*() {
      yield* spoilAll
      let mended = false
      const mendMost = Effect.suspend(() => mended ? nothing : Effect.tap(execute(mend.slice(1).join(";\n")), () => Effect.sync(() => mended = true)))
      const { verdict } = yield* verifyWhile(mendMost).pipe(Effect.ensuring(execute(mend[0]!)))
      assert.deepStrictEqual(verdict.targets.map(({ differences }) => differences.length), [1, 0, 0, 0, 0])
    }))

  it.effect("keeps a bounded number of differences, says so, and never calls the rest equal", () =>
    Effect.gen(function*() {
      yield* totals("+")
      const { verdict } = yield* verifyWhile(nothing, { maxDifferences: 1 }).pipe(Effect.ensuring(totals("-")))
      const { complete, differences } = verdict.targets[1]!
      assert.deepStrictEqual([verdict.equal, complete, differences.length], [false, false, 1])
      yield* totals("+")
      const mended = yield* verifyWhile(totals("-"), { maxDifferences: 1 })
      assert.isTrue(mended.verdict.equal)
    }))

  it.effect("says when the pipelines did not get there in time", () =>
    Effect.gen(function*() {
      yield* execute(spoil[1]!)
      const { verdict } = yield* verifyWhile(Effect.succeed(false)).pipe(Effect.ensuring(execute(mend[1]!)))
      assert.deepStrictEqual([verdict.equal, verdict.applied, verdict.rounds], [false, false, 2])
    }))

  it.effect("counts scores that time has moved, without calling them different", () =>
    Effect.gen(function*() {
      yield* shift("-")
      const { verdict } = yield* verifyWhile(nothing).pipe(Effect.ensuring(shift("+")))
      assert.deepStrictEqual([verdict.targets[0]!.drifted, verdict.targets[0]!.differences], [1, []])
      assert.isNull(verdict.targets[1]!.drifted)
    }))

  it.effect("names the remedy where there is no state", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(verifyWhile(nothing, { stateSchema: "elsewhere" }))
      assert.match(error.message, /schema elsewhere: run `cdc setup`/)
    }))

  it.effect("only reads, and sees that the hub moved on where no pipeline follows", () =>
    Effect.gen(function*() {
      const { query } = yield* TestDatabase
      yield* Effect.flatMap(Activity, (activity) => activity.runSteps(150)).pipe(Effect.provide(Activity.layer({ seed: 5, changesPerSecond: 0 })))
      const before = yield* Effect.promise(() => query("select xmin::text, campaign_id from outreach.campaigns order by campaign_id"))
      const { verdict } = yield* verifyWhile(nothing)
      assert.isFalse(verdict.equal)
      assert.deepStrictEqual(yield* Effect.promise(() => query("select xmin::text, campaign_id from outreach.campaigns order by campaign_id")), before)
    }))

  it.effect("looks at named keys only, whatever they name", () =>
    Effect.gen(function*() {
      const { query } = yield* Postgres
      const ids = (yield* query<{ id: string }>("Reading", "select distinct outreach_id::text as id from outreach.bit_signals join outreach.bit_scores using (outreach_id) order by 1 limit 2")).map(({ id }) => id)
      yield* query("Editing", "update outreach.bit_scores set signal_count = signal_count + 7 where outreach_id::text = any ($1)", [ids])
      const { verdict } = yield* verifyWhile(nothing, { keys: [ids[0]!, "outreach.bit_signals:none", "not a uuid"] })
      const keys = verdict.targets.flatMap(({ differences }) => differences.map(({ key }) => key))
      yield* query("Mending", "update outreach.bit_scores set signal_count = signal_count - 7 where outreach_id::text = any ($1)", [ids])
      assert.deepStrictEqual(keys, [ids[0]])
    }))
})
