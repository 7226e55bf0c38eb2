import { assert, layer } from "@effect/vitest"
import { Effect } from "effect"
import { Postgres } from "../../src/connections/Postgres.ts"
import type { SourceChange } from "../../src/domain/SourceChange.ts"
import { makeLetterStore } from "../../src/materialize/LetterStore.ts"
import { stateTables } from "../../src/materialize/StateTables.ts"
import { makeBreaker } from "../../src/materialize/Breaker.ts"
import { batchOf, Changes } from "../support/Changes.ts"
import * as TestHub from "../support/TestHub.ts"
import { run } from "./Running.ts"
import { fresh, outreach, rowsOf, signal, signalRow, tables } from "./SmallHub.ts"

const scores = rowsOf("select outreach_id, score, signal_count from outreach.bit_scores")
const now = () => 1_767_225_600_000_000n // the instant of signalRow
const place = { topic: "hub.outreach.bit_signals", partition: 0 }
const store = makeLetterStore(stateTables("cdc", "bit-scores", 1))
const letters = Effect.gen(function*() {
  return (yield* store.list(yield* Postgres, {}, 100)).map(({ isSuspect, key, offset, resolution }) => `${key} ${offset} ${resolution}${isSuspect ? " suspect" : ""}`)
})

const bad = { outreach_id: "not a uuid" }

/** As if the cause were gone: the same record, readable. */
const mended = (change: SourceChange, over = {}) => ({ record: change.record, read: { ...change, row: signalRow(1, over) } as SourceChange })

layer(TestHub.layer, { excludeTestServices: true })("a dead letter", (it) => {
  const begin = Effect.gen(function*() {
    yield* fresh
    const changes = new Changes(1)
    const running = yield* run("bit-scores", changes, { now })
    return { changes, ...running, log: changes.log(tables.signals, 0).changes }
  })

  it.effect("leaves what its row contributed, makes it suspect, and is applied once by any number of retries", () =>
    Effect.gen(function*() {
      const { applyAll, changes, log, materializer } = yield* begin
      changes.append(tables.signals, "c", signal(1), signalRow(1))
      changes.append(tables.signals, "u", signal(1), signalRow(1, bad))
      yield* applyAll()
      assert.deepStrictEqual(yield* scores, [`(${outreach(1)},10.00,1)`])
      assert.deepStrictEqual(yield* letters, [`${signal(1)} 1 open suspect`])
      const reread = mended(log[1]!, { signal_impact: "30" })
      const retries = yield* Effect.all([1, 2, 3].map(() => materializer.retry(place, [reread])), { concurrency: 3 })
      assert.strictEqual(retries.reduce((sum, { applied }) => sum + applied, 0), 1)
      assert.deepStrictEqual(yield* scores, [`(${outreach(1)},30.00,1)`])
      assert.deepStrictEqual(yield* letters, [`${signal(1)} 1 applied`])
      assert.deepStrictEqual(yield* rowsOf("select next_offset from cdc.offsets where topic like '%bit_signals'"), ["(2)"])
    }))

  for (const [what, later] of [
    ["a later change", (changes: Changes) => changes.append(tables.signals, "u", signal(1), signalRow(1, { signal_impact: "20" }))],
    ["a delete, of which no position is kept", (changes: Changes) => changes.delete(tables.signals, signal(1))],
    ["a TRUNCATE", (changes: Changes) => changes.truncate(tables.signals)],
    ["a later change that is bad and says that it contributes nothing", (changes: Changes) =>
      changes.append(tables.signals, "u", signal(1), signalRow(1, { decay_period_days: 0 }))]
  ] as const) {
    for (const together of [true, false]) {
      it.effect(`is made void by ${what}${together ? ", in the same batch" : ""}`, () =>
        Effect.gen(function*() {
          const { applyAll, changes, log, materializer } = yield* begin
          changes.append(tables.signals, "c", signal(1), signalRow(1))
          changes.append(tables.signals, "u", signal(1), signalRow(1, bad))
          if (!together) yield* applyAll()
          later(changes)
          yield* applyAll()
          const right = yield* scores
          assert.include(yield* letters, `${signal(1)} 1 superseded`)
          assert.deepInclude(yield* materializer.retry(place, [mended(log[1]!, { signal_impact: "30" })]), { applied: 0, closed: 1 })
          assert.deepStrictEqual(yield* scores, right)
        }))
    }
  }

  it.effect("stays open while its cause does, and is never applied if nobody knew its key", () =>
    Effect.gen(function*() {
      const { applyAll, changes, log, materializer } = yield* begin
      changes.append(tables.signals, "c", signal(1), signalRow(1, bad))
      changes.append(tables.signals, "c", signal(2), signalRow(1))
      yield* applyAll()
      const retried = yield* materializer.retry(place, [{ record: log[0]!.record, read: log[0]! }])
      assert.deepStrictEqual(retried.stillBad.map(({ reason }) => reason), ["unreadable-row"])
      assert.deepStrictEqual(yield* letters, [`${signal(1)} 0 open suspect`])
      const { query } = yield* Postgres
      yield* query("Forgetting the key", "update cdc.bit_scores_1_letters set key = null")
      const unknown = yield* materializer.retry(place, [mended(log[0]!)])
      assert.deepStrictEqual(unknown.stillBad.map(({ reason }) => reason), ["key-unknown"])
      assert.deepStrictEqual(yield* scores, [`(${outreach(1)},10.00,1)`])
    }))

  it.effect("is forgotten once it has been resolved for as long as its record is kept; open ones never are", () =>
    Effect.gen(function*() {
      const { applyAll, changes, materializer } = yield* begin
      for (const n of [1, 2, 3]) changes.append(tables.signals, "c", signal(n), signalRow(1, bad))
      for (const n of [1, 2]) changes.append(tables.signals, "u", signal(n), signalRow(1))
      yield* applyAll()
      const { query } = yield* Postgres
      yield* query("Ageing", `update cdc.bit_scores_1_letters set set_aside_at = now() - interval '900 hours',
        resolved_at = case key when $1 then now() - interval '721 hours' when $2 then now() - interval '719 hours' end`, [signal(1), signal(2)])
      assert.strictEqual(yield* materializer.pruneLetters(720), 1)
      assert.strictEqual(yield* materializer.pruneLetters(720), 0)
      assert.sameMembers(yield* letters, [`${signal(2)} 1 superseded`, `${signal(3)} 2 open suspect`])
      assert.deepStrictEqual(yield* store.openLetters(yield* Postgres), { byReason: { "unreadable-row": 1 }, suspectRows: 1 })
    }))

  it.effect("is one of too many: nothing of the batch is moved or applied until a person accepts", () =>
    Effect.gen(function*() {
      yield* fresh
      const changes = new Changes(1)
      const { materializer, setAside } = yield* run("bit-scores", changes, { now, breaker: makeBreaker({ moreThan: 2, morePercentThan: 50, ofLast: 10 }) })
      changes.append(tables.signals, "c", signal(9), signalRow(1))
      for (const n of [1, 2, 3]) changes.append(tables.signals, "c", signal(n), signalRow(1, bad))
      const batch = batchOf(changes.log(tables.signals, 0), 0)
      const failure = yield* Effect.flip(materializer.apply([batch]))
      assert.strictEqual(failure.reason, "paused")
      assert.match(failure.message, /3 of the last 4 records .*unreadable-row 3; first hub\.outreach\.bit_signals\/0 offset 1/)
      assert.deepStrictEqual([setAside.length, yield* scores, yield* letters], [0, [], []])
      const { query } = yield* Postgres
      yield* query("Accepting", `update cdc.pipelines set accepted = '{"hub.outreach.bit_signals/0":"4"}'`)
      yield* materializer.apply([batch])
      assert.deepStrictEqual([setAside.length, (yield* scores).length, (yield* letters).length], [3, 1, 3])
    }))
})
