import { assert, layer } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { TestConsole } from "effect/testing"
import { verifyAndPrint } from "../../src/cli/Verify.ts"
import { AppConfig } from "../../src/Config.ts"
import { Postgres } from "../../src/connections/Postgres.ts"
import * as Hub from "../../src/embedded/hub/Hub.ts"
import type { Verdict } from "../../src/run/Verify.ts"
import * as RightAggregates from "../pipelines/oracle/RightAggregates.ts"
import * as TestHub from "../support/TestHub.ts"

const FilledHub = Layer.effectDiscard(
  Effect.andThen(Hub.prepare({ companies: 50, seed: 31 }), RightAggregates.fill)
).pipe(Layer.provideMerge(TestHub.layer))

const waitUntilApplied = () => Effect.succeed(true)
const spoilTotals = Effect.flatMap(Postgres, (postgres) =>
  postgres.query("Spoiling", "update outreach.campaigns set total_sent = total_sent + 1 where campaign_id in (select campaign_id from outreach.send_log)"))

layer(FilledHub)("cdc verify", (it) => {
  it.effect("prints the table and succeeds where nothing differs", () =>
    Effect.gen(function*() {
      yield* verifyAndPrint({ json: false, waitUntilApplied })
      assert.match(String((yield* TestConsole.logLines).at(-1)), /outreach\.bit_scores[^]*bit\.bit_contact_score[^]*no differences$/)
    }))

  it.effect("prints JSON, and fails as findings do where something differs", () =>
    Effect.gen(function*() {
      yield* spoilTotals
      const error = yield* Effect.flip(verifyAndPrint({ json: true, waitUntilApplied }))
      assert.strictEqual(error._tag, "Findings")
      const verdict = JSON.parse(String((yield* TestConsole.logLines).at(-1))) as Verdict
      assert.isFalse(verdict.equal)
      const differing = verdict.targets.filter(({ differences }) => differences.length > 0)
      assert.deepStrictEqual(differing.map(({ target }) => target), ["outreach.campaigns"])
    }))

  it.effect("mends nothing, and says so, where a key that is named is nobody's; counts only what is named", () =>
    Effect.gen(function*() {
      yield* spoilTotals
      const postgres = yield* Postgres
      const [score] = yield* postgres.query<{ id: string }>("Reading", "select outreach_id as id from outreach.bit_scores s where exists (select from outreach.bit_signals g where g.outreach_id = s.outreach_id) limit 1")
      const nobody = "0a000000-0000-4000-8000-00000000dead"
      const error = yield* Effect.flip(verifyAndPrint({ json: true, repair: true, keys: [score!.id, "mistyped", nobody], waitUntilApplied }))
      assert.strictEqual(error._tag, "ConfigurationError")
      assert.include(error.message, `one of the keys "mistyped", "${nobody}"; nothing was compared or mended`)
      yield* verifyAndPrint({ json: true, repair: true, keys: [score!.id.toUpperCase()], waitUntilApplied })
      const { targets } = JSON.parse(String((yield* TestConsole.logLines).at(-1))) as Verdict
      assert.deepStrictEqual(targets.filter(({ compared, unmanaged }) => compared + unmanaged > 0).map(({ compared, target }) => [target, compared]), [["outreach.bit_scores", 1]])
    }))

  it.effect("asks nothing of a pipeline in shadow mode, which would never do it", () =>
    Effect.gen(function*() {
      yield* spoilTotals
      const settings = yield* AppConfig
      const asShadow = AppConfig.of({ ...settings, pipelines: { ...settings.pipelines, modes: { ...settings.pipelines.modes, "campaign-totals": "shadow" } } })
      const error = yield* Effect.flip(verifyAndPrint({ json: true, repair: true, waitUntilApplied }).pipe(Effect.provideService(AppConfig, asShadow)))
      assert.strictEqual(error._tag, "Findings", "pending keys would be a failure: nobody has made their table here")
      assert.match((yield* TestConsole.errorLines).map(String).join("\n"), /campaign-totals is in shadow mode and writes nothing/)
    }))

  it.effect("looks only at what the enabled pipelines keep", () =>
    Effect.gen(function*() {
      const settings = yield* AppConfig
      const withoutTotals = AppConfig.of({ ...settings, pipelines: { ...settings.pipelines, enabled: ["bit-scores", "legacy-mirrors"] } })
      yield* verifyAndPrint({ json: true, waitUntilApplied }).pipe(Effect.provideService(AppConfig, withoutTotals))
      const verdict = JSON.parse(String((yield* TestConsole.logLines).at(-1))) as Verdict
      assert.strictEqual(verdict.targets.length, 4)
    }))
})
