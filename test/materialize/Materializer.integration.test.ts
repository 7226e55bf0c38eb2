import { assert, layer } from "@effect/vitest"
import { Effect } from "effect"
import { bitScores } from "../../pipelines/bit-scores/BitScores.ts"
import { AppConfig } from "../../src/Config.ts"
import { Postgres } from "../../src/connections/Postgres.ts"
import { register } from "../../src/materialize/Registration.ts"
import { batchOf, Changes } from "../support/Changes.ts"
import * as TestHub from "../support/TestHub.ts"
import { pipelineOf, run } from "./Running.ts"
import { fresh, outreach, outreachRow, rowsOf, send, sendRow, signal, signalRow, tables } from "./SmallHub.ts"

const scores = rowsOf("select outreach_id, score, score_tier, signal_count, last_signal_at is null as never from outreach.bit_scores")
const rowOf = (n: number, score: string, tier: string, count: number) => `(${outreach(n)},${score},${tier},${count},${count === 0 ? "t" : "f"})`
const now = () => 1_767_225_600_000_000n // 2026-01-01, the instant of signalRow

layer(TestHub.layer, { excludeTestServices: true })("a materializer", (it) => {
  it.effect("applies a batch once: whoever comes second with the same records is superseded, and nothing of it is applied", () =>
    Effect.gen(function*() {
      yield* fresh
      const changes = new Changes(1)
      const one = yield* run("bit-scores", changes, { now })
      const two = yield* run("bit-scores", changes, { now })
      changes.append(tables.signals, "c", signal(1), signalRow(1))
      changes.append(tables.signals, "c", signal(2), signalRow(2, { decay_period_days: 0 }))
      const batch = batchOf(changes.log(tables.signals, 0), 0)
      const [first, second] = yield* Effect.all([one, two].map(({ materializer }) => Effect.result(materializer.apply([batch]))), { concurrency: 2 })
      const failures = [first!, second!].filter((result) => result._tag === "Failure").map(({ failure }) => failure)
      assert.deepStrictEqual(failures.map(({ _tag, reason }) => `${_tag} ${reason}`), ["PipelineError superseded"])
      assert.isTrue(failures[0]!.isRetryable)
      assert.deepStrictEqual(yield* scores, [rowOf(1, "10.00", "COLD", 1)])
      assert.strictEqual(one.setAside.length + two.setAside.length, 1, "the loser set nothing aside")
      assert.deepStrictEqual(yield* rowsOf("select next_offset, applied from cdc.offsets, cdc.pipelines where topic like '%bit_signals'"), ["(2,2)"])
    }))

  it.effect("supersedes a batch of several partitions as a whole", () =>
    Effect.gen(function*() {
      yield* fresh
      const changes = new Changes(1)
      const { applyAll, materializer } = yield* run("bit-scores", changes, { now })
      changes.append(tables.signals, "c", signal(1), signalRow(1))
      yield* applyAll()
      changes.append(tables.outreach, "c", outreach(1), outreachRow(1))
      changes.append(tables.signals, "u", signal(1), signalRow(1, { signal_impact: "20" }))
      const stale = [batchOf(changes.log(tables.outreach, 0), 0), batchOf(changes.log(tables.signals, 0), 0)]
      const failure = yield* Effect.flip(materializer.apply(stale))
      assert.strictEqual(failure.reason, "superseded")
      assert.deepStrictEqual(yield* scores, [rowOf(1, "10.00", "COLD", 1)])
      assert.deepStrictEqual(yield* rowsOf("select next_offset from cdc.offsets where topic like '%.outreach.outreach'"), ["(0)"])
    }))

  it.effect("drops a record that is there twice, across batches and within one", () =>
    Effect.gen(function*() {
      yield* fresh
      const changes = new Changes(1)
      const { applyAll } = yield* run("campaign-totals", changes)
      changes.append(tables.sends, "c", send(1), sendRow(1))
      changes.append(tables.sends, "u", send(1), sendRow(2))
      changes.repeat(tables.sends, 0, 2)
      assert.deepInclude(yield* applyAll(), { changes: 2, written: 1 })
      changes.repeat(tables.sends, 0, 1)
      assert.deepInclude(yield* applyAll(), { changes: 0, written: 0 })
      assert.deepStrictEqual(yield* rowsOf("select total_sent from outreach.campaigns where total_sent > 0"), ["(1)"])
    }))

  it.effect("sets bad input aside before it commits, with its reason, and applies the rest", () =>
    Effect.gen(function*() {
      yield* fresh
      const changes = new Changes(1)
      const { applyAll, setAside } = yield* run("bit-scores", changes, { now })
      const bad = {
        "decay-not-positive": { decay_period_days: -1 },
        "impact-not-finite": { signal_impact: "NaN" },
        "timestamp-not-readable": { signal_timestamp: "+294276-12-31T23:59:59.999999Z" },
        "unreadable-row": { outreach_id: "not a uuid" },
        "value-unavailable": { source_spoke: "__debezium_unavailable_value" }
      }
      Object.values(bad).forEach((over, n) => changes.append(tables.signals, "c", signal(n), signalRow(1, over)))
      changes.append(tables.signals, "c", signal(9), signalRow(1))
      changes.append(tables.outreach, "c", "not a uuid", {})
      yield* applyAll()
      assert.deepStrictEqual(setAside.map(({ why }) => why.reason).sort(), [...Object.keys(bad), "key-not-uuid"].sort())
      assert.deepStrictEqual(yield* scores, [rowOf(1, "10.00", "COLD", 1)])
      assert.deepStrictEqual(yield* rowsOf("select applied, dead_letters from cdc.pipelines"), ["(7,6)"])

      // Set aside again if the first attempt did not commit: at least once.
      changes.append(tables.signals, "c", signal(10), signalRow(1, { decay_period_days: 0 }))
      yield* (yield* Postgres).query("Breaking", "alter table cdc.bit_scores_1_letters rename to gone")
      assert.strictEqual((yield* Effect.flip(applyAll())).reason, "refused")
      assert.strictEqual(setAside.length, 7)
      assert.deepStrictEqual(yield* rowsOf("select dead_letters from cdc.pipelines"), ["(6)"])
    }))

  it.effect("ends what a good row contributed when an update makes it bad, and begins again when it is mended", () =>
    Effect.gen(function*() {
      yield* fresh
      const changes = new Changes(1)
      const { applyAll } = yield* run("bit-scores", changes, { now })
      const update = Effect.fnUntraced(function*(over: Record<string, unknown>) {
        changes.append(tables.signals, "u", signal(1), signalRow(1, over))
        yield* applyAll()
        return yield* scores
      })
      assert.deepStrictEqual(yield* update({}), [rowOf(1, "10.00", "COLD", 1)])
      assert.deepStrictEqual(yield* update({ signal_impact: "Infinity" }), [rowOf(1, "0.00", "COLD", 0)])
      assert.deepStrictEqual(yield* update({ signal_impact: "30" }), [rowOf(1, "30.00", "WARM", 1)])
      assert.deepStrictEqual(yield* update({ signal_impact: 30 }), [rowOf(1, "30.00", "WARM", 1)], "a number where the topic has text: nothing is known of the row")
    }))

  it.effect("is not mixed with other definitions: another version needs a replay, other settings score again and fence the old", () =>
    Effect.gen(function*() {
      yield* fresh
      const { pipelineSettings, source } = yield* AppConfig
      const postgres = yield* Postgres
      const changes = new Changes(1)
      const old = yield* run("bit-scores", changes, { now })
      changes.append(tables.signals, "c", signal(1), signalRow(1, { source_spoke: "dol", signal_impact: "30" }))
      yield* old.applyAll()
      const pipeline = yield* pipelineOf("bit-scores")
      const newer = yield* Effect.flip(postgres.transaction((sql) => register(sql, source.stateSchema, { ...pipeline, version: 2 })))
      assert.strictEqual(newer.reason, "needsReplay")

      const settings = pipelineSettings["bit-scores"] as Record<string, object>
      const other = bitScores({ ...settings, tiers: { WARM: 10, HOT: 20, BURNING: 30 } })
      const { materializer } = yield* run(other, changes, { now })
      assert.deepStrictEqual(yield* materializer.retryPending, { settled: 1, held: 0 })
      assert.deepStrictEqual(yield* scores, [rowOf(1, "30.00", "BURNING", 1)])
      changes.append(tables.signals, "u", signal(1), signalRow(1))
      assert.strictEqual((yield* Effect.flip(old.applyAll())).reason, "misconfigured")
      assert.deepStrictEqual(yield* scores, [rowOf(1, "30.00", "BURNING", 1)])
    }))

  it.effect("goes on with state whose tables were made by an older program", () =>
    Effect.gen(function*() {
      yield* fresh
      const { query } = yield* Postgres
      const changes = new Changes(1)
      let instant = now()
      const { applyAll } = yield* run("bit-scores", changes, { now: () => instant })
      changes.append(tables.signals, "c", signal(1), signalRow(1, { decay_period_days: 10 }))
      yield* applyAll()
      const indexes = rowsOf("select indexname from pg_indexes where schemaname = 'cdc' and tablename = 'bit_scores_1_entries' and indexname like '%due%'")
      yield* query("Going back", "drop index cdc.bit_scores_1_entries_due_by_group")
      yield* query("Going back", "create index bit_scores_1_entries_due on cdc.bit_scores_1_entries (group_key, due_at) where due_at is not null")
      const { materializer } = yield* run("bit-scores", changes, { now: () => instant })
      assert.deepStrictEqual(yield* indexes, ["(bit_scores_1_entries_due_by_group)"])
      instant += 10n * 86_400_000_000n
      assert.strictEqual((yield* materializer.wake).woken, 1)
      assert.deepStrictEqual(yield* scores, [rowOf(1, "0.00", "COLD", 1)])
    }))
})
