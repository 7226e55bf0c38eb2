import { assert, layer } from "@effect/vitest"
import { Effect } from "effect"
import { Postgres } from "../../../src/connections/Postgres.ts"
import { run } from "../../materialize/Running.ts"
import { endRests, fresh, outreach, outreachRow, rowsOf, signal, signalRow, tables } from "../../materialize/SmallHub.ts"
import { Changes } from "../../support/Changes.ts"
import { telling } from "../../support/Telling.ts"
import * as TestHub from "../../support/TestHub.ts"

const start = 1_767_225_600_000_000n // 2026-01-01, the instant of signalRow
const day = 86_400_000_000n
const score = rowsOf("select score, score_tier, signal_count, people_score, dol_score from outreach.bit_scores where outreach_id = $1", [outreach(1)])
const scoredAt = rowsOf("select (extract(epoch from last_scored_at) * 1000000)::bigint from outreach.bit_scores")

/** The pipeline with a clock that stands until it is set. */
const withClock = Effect.gen(function*() {
  yield* fresh
  const changes = new Changes(1)
  let now = start
  const running = yield* run("bit-scores", changes, { now: () => now })
  let touched = 0
  /** What the score is at an instant, made to be looked at again by a signal that adds nothing to it. */
  const at = Effect.fnUntraced(function*(instant: bigint) {
    now = instant
    changes.append(tables.signals, touched++ === 0 ? "c" : "u", signal(999), signalRow(1, { signal_impact: "0", signal_timestamp: `2020-01-01T00:00:00.${String(touched).padStart(6, "0")}Z` }))
    yield* running.applyAll()
    return yield* score
  })
  return { ...running, at, changes }
})

/** 60 points over 100 days less 20 over 50, directly: what the sums must come to. */
const exactScore = (now: bigint): number => {
  const left = (days: number) => Math.max(0, 1 - Number(now - start) / 86_400e6 / days)
  return Math.min(100, Math.max(0, 60 * left(100) - 20 * left(50)))
}

layer(TestHub.layer, { excludeTestServices: true })("bit-scores", (it) => {
  it.effect("a signal is full in the future, decays from its instant on, and ends, to the microsecond", () =>
    Effect.gen(function*() {
      const { at, changes } = yield* withClock
      changes.append(tables.signals, "c", signal(1), signalRow(1, { signal_impact: "50", decay_period_days: 10 }))
      assert.deepStrictEqual(yield* at(start - day), ["(50.00,HOT,2,50.00,0.00)"])
      assert.deepStrictEqual(yield* at(start), ["(50.00,HOT,2,50.00,0.00)"])
      assert.deepStrictEqual(yield* at(start + day / 1000n), ["(50.00,HOT,2,50.00,0.00)"], "49.995")
      assert.deepStrictEqual(yield* at(start + day / 1000n + 1n), ["(49.99,WARM,2,49.99,0.00)"])
      assert.deepStrictEqual(yield* at(start + 5n * day), ["(25.00,WARM,2,25.00,0.00)"])
      assert.deepStrictEqual(yield* at(start + 5n * day + day / 1000n), ["(25.00,WARM,2,25.00,0.00)"], "24.995")
      assert.deepStrictEqual(yield* at(start + 5n * day + day / 1000n + 1n), ["(24.99,COLD,2,24.99,0.00)"])
      assert.deepStrictEqual(yield* at(start + 10n * day - day / 1000n), ["(0.01,COLD,2,0.01,0.00)"], "0.005")
      assert.deepStrictEqual(yield* at(start + 10n * day), ["(0.00,COLD,2,0.00,0.00)"])
      assert.deepStrictEqual(yield* at(start + 11n * day), ["(0.00,COLD,2,0.00,0.00)"])
    }))

  it.effect("time alone changes the row, at the instants that matter and not between", () =>
    Effect.gen(function*() {
      yield* fresh
      const changes = new Changes(1)
      let now = start
      const { applyAll, materializer } = yield* run("bit-scores", changes, { now: () => now })
      changes.append(tables.signals, "c", signal(1), signalRow(1, { signal_impact: "60", decay_period_days: 100 }))
      changes.append(tables.signals, "c", signal(2), signalRow(1, { signal_impact: "-20", decay_period_days: 50, source_spoke: "dol" }))
      yield* applyAll()
      // A year of wake-ups, each at the instant that the last one named; nothing is written in between.
      const tiers: Array<string> = []
      let wakes = 0
      while (now < start + 365n * day) {
        const { nextIn, woken } = yield* materializer.wake
        if (woken > 0) wakes++
        const [row] = yield* rowsOf("select score_tier from outreach.bit_scores")
        if (tiers.at(-1) !== row) tiers.push(row!)
        const exact = exactScore(now)
        const [{ stored } = { stored: NaN }] = yield* (yield* Postgres).query<{ stored: number }>("Reading", "select score::float8 as stored from outreach.bit_scores")
        assert.isAtMost(Math.abs(stored - exact), 0.006, "right at the instant of a wake-up")
        if (nextIn === null) break
        assert.isAbove(Number(nextIn), 0, "the next wake-up is in the future")
        assert.isAtMost(Math.abs(stored - exactScore(now + nextIn - 1n)), 1.0, "never off by more than a point before the next")
        now += nextIn
      }
      assert.deepStrictEqual(tiers, ["(WARM)", "(COLD)"])
      assert.deepStrictEqual(yield* score, ["(0.00,COLD,2,0.00,0.00)"])
      assert.isAtMost(wakes, 140, "about once a day while it moves")
      assert.deepStrictEqual(yield* materializer.wake, { woken: 0, nextIn: null })
    }))

  it.effect("counts a signal dated infinity in full for ever, and one dated -infinity as over", () =>
    Effect.gen(function*() {
      const { at, changes } = yield* withClock
      changes.append(tables.signals, "c", signal(1), signalRow(1, { signal_impact: "30", signal_timestamp: "infinity" }))
      changes.append(tables.signals, "c", signal(2), signalRow(1, { signal_impact: "50", signal_timestamp: "-infinity" }))
      assert.deepStrictEqual(yield* at(start + 100_000n * day), ["(30.00,WARM,3,30.00,0.00)"])
      assert.deepStrictEqual(yield* rowsOf("select last_signal_at from outreach.bit_scores"), ["(infinity)"])
    }))

  it.effect("a clock that goes back, ours or another instance's, moves no row back", () =>
    Effect.gen(function*() {
      const { at, changes } = yield* withClock
      changes.append(tables.signals, "c", signal(1), signalRow(1, { decay_period_days: 10 }))
      assert.deepStrictEqual(yield* at(start + 5n * day), ["(5.00,COLD,2,5.00,0.00)"])
      changes.append(tables.signals, "u", signal(1), signalRow(1, { decay_period_days: 10, signal_impact: "20" }))
      assert.deepStrictEqual(yield* at(start + day), ["(10.00,COLD,2,10.00,0.00)"])
      assert.deepStrictEqual(yield* scoredAt, [`(${start + 5n * day})`])
    }))

  it.effect("takes a signal back in the phase that another instance has moved it to since it was read", () =>
    Effect.gen(function*() {
      yield* fresh
      const changes = new Changes(1)
      let now = start
      const { applyAll, materializer: other } = yield* run("bit-scores", changes, { now: () => now })
      changes.append(tables.signals, "c", signal(1), signalRow(1, { signal_impact: "50", decay_period_days: 10 }))
      yield* applyAll()

      changes.append(tables.signals, "u", signal(1), signalRow(1, { signal_impact: "20", decay_period_days: 20 }))
      const postgres = yield* Postgres
      const wakeOther = (doing: string) =>
        doing !== "Creating groups" ? Effect.void : Effect.gen(function*() {
          now = start + 11n * day
          assert.strictEqual((yield* Effect.orDie(other.wake)).woken, 1)
        })
      const slow = yield* run("bit-scores", changes, { now: () => now }).pipe(Effect.provideService(Postgres, telling(postgres, wakeOther)))
      yield* slow.applyAll()
      assert.deepStrictEqual(yield* score, ["(9.00,COLD,1,9.00,0.00)"])
    }))

  it.effect("a row that says it was scored later than our clock keeps its instant, and is judged at it", () =>
    Effect.gen(function*() {
      const { at, changes } = yield* withClock
      const { query } = yield* Postgres
      yield* query("Inserting", "insert into outreach.bit_scores (outreach_id, score, last_scored_at) values ($1, 3, '2026-01-06T00:00:00Z')", [outreach(1)])
      changes.append(tables.signals, "c", signal(1), signalRow(1, { decay_period_days: 10 }))
      assert.deepStrictEqual(yield* at(start), ["(5.00,COLD,2,5.00,0.00)"])
      assert.deepStrictEqual(yield* scoredAt, [`(${start + 5n * day})`])
    }))

  it.effect("takes the longest period, the largest impact and the finest", () =>
    Effect.gen(function*() {
      const { at, changes } = yield* withClock
      changes.append(tables.signals, "c", signal(1), signalRow(1, { decay_period_days: 2_147_483_647, signal_impact: "40" }))
      assert.deepStrictEqual(yield* at(start + 10_000n * day), ["(40.00,WARM,2,40.00,0.00)"])
      const huge = `1${"0".repeat(300)}`
      changes.append(tables.signals, "c", signal(2), signalRow(1, { signal_impact: huge, source_spoke: "unheard-of" }))
      assert.deepStrictEqual(yield* at(start), ["(40.00,WARM,3,40.00,0.00)"], "over at the row's instant")
      changes.append(tables.signals, "u", signal(2), signalRow(1, { signal_impact: `-${huge}`, decay_period_days: 2_000_000_000, source_spoke: "dol" }))
      assert.match((yield* at(start))[0]!, /^\(0\.00,COLD,3,40\.00,-9999\d{296}\.\d\d\)$/)
      changes.append(tables.signals, "u", signal(2), signalRow(1, { signal_impact: "0.00500000000000000001", decay_period_days: 2_147_483_647, source_spoke: "dol" }))
      assert.match((yield* at(start))[0]!, /^\(40\.00,WARM,3,40\.00,0\.0[01]\)$/)
    }))

  it.effect("waits for an outreach that is not there yet, and writes its score when it appears", () =>
    Effect.gen(function*() {
      yield* fresh
      const { query } = yield* Postgres
      const changes = new Changes(1)
      const { applyAll } = yield* run("bit-scores", changes, { now: () => start })
      yield* query("Deleting", "delete from outreach.outreach where outreach_id = $1", [outreach(1)])
      changes.append(tables.signals, "c", signal(1), signalRow(1))
      assert.deepInclude(yield* applyAll(), { orphans: 1, held: 0, written: 0 })
      yield* query("Inserting", "insert into outreach.outreach (outreach_id, sovereign_id) select $1, sovereign_id from outreach.outreach", [outreach(1)])
      changes.append(tables.outreach, "c", outreach(1), outreachRow(1))
      assert.deepInclude(yield* applyAll(), { orphans: 0, written: 1 })
      assert.deepStrictEqual(yield* score, ["(10.00,COLD,1,10.00,0.00)"])
    }))

  it.effect("brings a deleted row back while it is due, zeros it with its last signal, and leaves it gone after that", () =>
    Effect.gen(function*() {
      yield* fresh
      const { query } = yield* Postgres
      const changes = new Changes(1)
      const { applyAll, materializer } = yield* run("bit-scores", changes, { now: () => start })
      const deleteRow = Effect.gen(function*() {
        yield* query("Deleting", "delete from outreach.bit_scores")
        changes.delete(tables.scores, outreach(1))
        yield* applyAll()
        yield* endRests
        yield* materializer.retryPending
        return yield* score
      })
      changes.append(tables.signals, "c", signal(1), signalRow(1))
      yield* applyAll()
      assert.deepStrictEqual(yield* deleteRow, ["(10.00,COLD,1,10.00,0.00)"])
      changes.delete(tables.signals, signal(1))
      yield* applyAll()
      assert.deepStrictEqual(yield* score, ["(0.00,COLD,0,0.00,0.00)"])
      assert.deepStrictEqual(yield* deleteRow, [])
      changes.append(tables.outreach, "r", outreach(1), outreachRow(1))
      yield* applyAll()
      assert.deepStrictEqual(yield* score, [])
    }))

  it.effect("brings rows back after a truncate of the scores", () =>
    Effect.gen(function*() {
      yield* fresh
      const { query } = yield* Postgres
      const changes = new Changes(2)
      const { applyAll, materializer } = yield* run("bit-scores", changes, { now: () => start })
      changes.append(tables.signals, "c", signal(1), signalRow(1))
      yield* applyAll()
      yield* query("Truncating", "truncate outreach.bit_scores")
      changes.truncate(tables.scores)
      yield* applyAll()
      assert.deepStrictEqual(yield* materializer.retryPending, { settled: 1, held: 0 })
      assert.deepStrictEqual(yield* score, ["(10.00,COLD,1,10.00,0.00)"])
    }))

  it.effect("leaves a row alone that no signal ever backed", () =>
    Effect.gen(function*() {
      yield* fresh
      const { query } = yield* Postgres
      yield* query("Inserting", "insert into outreach.bit_scores (outreach_id, score, signal_count) values ($1, 77, 9)", [outreach(1)])
      const changes = new Changes(1)
      const { applyAll } = yield* run("bit-scores", changes, { now: () => start })
      changes.append(tables.outreach, "r", outreach(1), outreachRow(1))
      changes.append(tables.signals, "c", signal(1), signalRow(1, { decay_period_days: 0 }))
      assert.deepInclude(yield* applyAll(), { written: 0 })
      assert.deepStrictEqual(yield* score, ["(77,COLD,9,0,0)"])
      assert.deepStrictEqual(yield* rowsOf("select from cdc.managed"), [])
    }))

  it.effect("a signal that moves changes both outreaches; a truncate ends what was last seen in its own partition", () =>
    Effect.gen(function*() {
      yield* fresh
      const changes = new Changes(2)
      const { applyAll, logs, materializer } = yield* run("bit-scores", changes, { now: () => start })
      const counts = rowsOf("select outreach_id, signal_count from outreach.bit_scores")
      for (const n of [1, 2, 3, 4, 5, 6, 7, 8]) changes.append(tables.signals, "c", signal(n), signalRow(1))
      yield* applyAll()
      changes.append(tables.signals, "u", signal(1), signalRow(2))
      yield* applyAll()
      assert.deepStrictEqual(yield* counts, [`(${outreach(1)},7)`, `(${outreach(2)},1)`])

      const kept = [2, 3, 4, 5, 6, 7, 8].filter((n) => changes.partitionOf(signal(n)) === 1)
      assert.isAtLeast(kept.length, 1)
      assert.isAtMost(kept.length, 6)
      changes.truncate(tables.signals)
      const inserted = [20, 21, 22, 23].filter((n) => changes.partitionOf(signal(n)) === 1)
      for (const n of inserted) changes.append(tables.signals, "c", signal(n), signalRow(2))
      // Partition 1 has been applied up to its end already, as if read ahead of partition 0, whose truncate comes only now.
      const [zero, one] = logs.filter(({ topic }) => topic.endsWith("bit_signals"))
      const at = one!.changes.findIndex(({ kind }) => kind === "truncate")
      const batch = (log: typeof one, from: number, to: number) => ({
        topic: log!.topic, partition: log!.partition, fromOffset: BigInt(from), nextOffset: BigInt(to), changes: log!.changes.slice(from, to), unreadable: []
      })
      yield* materializer.applyTruncate(batch(one, at, at + 1), one!.changes[at]!)
      const left = 7 - kept.length
      const moved = changes.partitionOf(signal(1)) === 1 ? 0 : 1
      assert.deepStrictEqual(yield* counts, [`(${outreach(1)},${left})`, `(${outreach(2)},${moved})`])
      yield* materializer.apply([batch(one, at + 1, one!.changes.length)])
      const last = zero!.changes.length - 1
      yield* materializer.applyTruncate(batch(zero, last, last + 1), zero!.changes[last]!)
      assert.deepStrictEqual(yield* counts, [`(${outreach(1)},0)`, `(${outreach(2)},${inserted.length})`])
      assert.deepInclude(yield* applyAll(), { changes: 0 })
    }))
})
