import { assert, layer } from "@effect/vitest"
import { Effect } from "effect"
import { Postgres } from "../../src/connections/Postgres.ts"
import { repair } from "../../src/run/Repair.ts"
import type { TargetVerdict } from "../../src/run/Verify.ts"
import { run } from "../materialize/Running.ts"
import { fresh, outreach, outreachRow, rowsOf, signal, signalRow, tables } from "../materialize/SmallHub.ts"
import { Changes } from "../support/Changes.ts"
import * as TestHub from "../support/TestHub.ts"

const verdictOf = (pipeline: string, target: string, key: string): TargetVerdict => ({
  pipeline, target, compared: 1, unmanaged: 0, drifted: null, unsettled: [], complete: true,
  differences: [{ key, column: "made up", stored: "1", expected: "2" }]
})

layer(TestHub.layer, { excludeTestServices: true })("a repair", (it) => {
  it.effect("writes edited, deleted and mirrored rows again, from state", () =>
    Effect.gen(function*() {
      yield* fresh
      const { query } = yield* Postgres
      const changes = new Changes(1)
      const scores = yield* run("bit-scores", changes, { now: () => 1_767_225_600_000_000n })
      const mirrors = yield* run("legacy-mirrors", changes)
      changes.append(tables.outreach, "c", outreach(1), outreachRow(1))
      changes.append(tables.signals, "c", signal(1), signalRow(1))
      changes.append(tables.signals, "c", signal(2), signalRow(2))
      yield* Effect.all([scores.applyAll(), mirrors.applyAll()])
      const right = yield* Effect.all([rowsOf("select outreach_id, score from outreach.bit_scores"), rowsOf("select signal_id, signal_strength from bit.bit_signal")])
      yield* query("Editing", "update outreach.bit_scores set score = 99 where outreach_id = $1", [outreach(1)])
      yield* query("Deleting", "delete from outreach.bit_scores where outreach_id = $1", [outreach(2)])
      yield* query("Deleting", "delete from bit.bit_signal where signal_strength = 10")

      const count = yield* repair([
        verdictOf("bit-scores", "outreach.bit_scores", outreach(1)),
        verdictOf("bit-scores", "outreach.bit_scores", outreach(2)),
        verdictOf("legacy-mirrors", "bit.bit_signal", `outreach.bit_signals:${signal(1)}`),
        verdictOf("legacy-mirrors", "bit.bit_signal", `outreach.bit_signals:${signal(2)}`)
      ], [scores.pipeline, mirrors.pipeline], "cdc")
      assert.strictEqual(count, 4)
      yield* Effect.all([scores.materializer.retryPending, mirrors.materializer.retryPending])
      assert.deepStrictEqual(
        yield* Effect.all([rowsOf("select outreach_id, score from outreach.bit_scores"), rowsOf("select signal_id, signal_strength from bit.bit_signal")]),
        right
      )
      assert.deepStrictEqual(yield* rowsOf("select from cdc.pending"), [])
    }))
})
