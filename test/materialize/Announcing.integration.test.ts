import { assert, layer } from "@effect/vitest"
import { Effect } from "effect"
import { Postgres } from "../../src/connections/Postgres.ts"
import * as EventMessage from "../../src/domain/EventMessage.ts"
import type { TierChanged } from "../../pipelines/bit-scores/TierChanged.ts"
import { microsPerDay, toIso } from "../../src/domain/Instant.ts"
import { seeded } from "../../src/embedded/hub/Random.ts"
import { Changes } from "../support/Changes.ts"
import * as TestHub from "../support/TestHub.ts"
import { promote, reconcile } from "./Replaying.ts"
import { run } from "./Running.ts"
import { endRests, fresh, outreach, outreachRow, signal, signalRow, tables } from "./SmallHub.ts"

const start = 1_767_225_600_000_000n // 2026-01-01, the instant of signalRow
/** SQL; the database is the test's own, slots are the whole server's. */
const slot = "'announcing_' || current_database()"

/** Everything committed into the WAL for capture since the last call. A slot gives what is flushed, and that a commit of its own sees to. */
const told = Effect.gen(function*() {
  const { query } = yield* Postgres
  yield* query("Flushing the WAL", "select set_config('synchronous_commit', 'local', true), pg_logical_emit_message(true, 'flush', '')")
  const rows = yield* query<{ data: string }>("Reading the WAL", `select data from pg_logical_slot_get_changes(${slot}, null, null) where data like 'message:%prefix: cdc.event%'`)
  return rows.map(({ data }) => EventMessage.decode(data.slice(data.indexOf("content:") + 8))!.attributes.data as TierChanged)
})
const inShort = (events: ReadonlyArray<TierChanged>) =>
  events.map(({ after, before, cause }) => `${before?.tier ?? "-"}>${after.tier} ${cause.type} ${cause.correlation_ids.join("+")}`.trim())

const begin = Effect.gen(function*() {
  const { query } = yield* Postgres
  yield* fresh
  yield* query("Dropping the slot", `select pg_drop_replication_slot(slot_name) from pg_replication_slots where slot_name = ${slot}`)
  yield* query("Making a slot", `select pg_create_logical_replication_slot(${slot}, 'test_decoding')`)
  yield* Effect.addFinalizer(() => Effect.ignore(query("Dropping the slot", `select pg_drop_replication_slot(${slot})`)))
  const changes = new Changes(1)
  const clock = { now: start }
  const running = yield* run("bit-scores", changes, { now: () => clock.now })
  const put = (n: number, impact: string, correlation: string, over = {}) =>
    changes.append(tables.signals, "c", signal(n), signalRow(1, { signal_impact: impact, correlation_id: correlation, ...over }))
  return { changes, clock, put, query, ...running }
})

layer(TestHub.layer, { excludeTestServices: true })("announcements", (it) => {
  it.effect("tell of each change of tier once, by its signals; not of a score that begins COLD, nor within a tier", () =>
    Effect.gen(function*() {
      const { applyAll, changes, put } = yield* begin
      put(1, "10", "c1")
      yield* applyAll()
      put(2, "5", "c2")
      yield* applyAll()
      assert.deepStrictEqual(yield* told, [])
      put(3, "20", "c3")
      put(4, "1", "c4")
      changes.append(tables.signals, "c", signal(9), signalRow(2, { signal_impact: "80", correlation_id: "c9" }))
      yield* applyAll()
      assert.deepStrictEqual(inShort(yield* told).toSorted(), ["->BURNING signal c9", "COLD>WARM signal c3+c4"])
      changes.delete(tables.signals, signal(3))
      yield* applyAll()
      assert.deepStrictEqual(inShort(yield* told), ["WARM>COLD signal c3"])
    }).pipe(Effect.scoped))

  it.effect("go on over a replay: what it corrects is told as such, from what was told last, and the chain has no gap", () =>
    Effect.gen(function*() {
      const { applyAll, changes, clock, pipeline, put, query } = yield* begin
      put(1, "60", "c1")
      yield* applyAll()
      yield* query("Corrupting", `update cdc.bit_scores_1_groups set state = '{"s":{},"b":{}}'`)
      put(2, "1", "c2")
      yield* applyAll()
      assert.deepStrictEqual(inShort(yield* told), ["->HOT signal c1", "HOT>COLD signal c2"])
      const candidate = yield* run(pipeline, changes, { now: () => clock.now, isCandidate: true })
      yield* candidate.applyAll()
      assert.strictEqual(yield* promote(pipeline, candidate.materializer), "promoted")
      assert.deepStrictEqual(yield* told, [])
      const renewed = yield* run(pipeline, changes, { now: () => clock.now })
      yield* reconcile(renewed.materializer)
      assert.deepStrictEqual(inShort(yield* told), ["COLD>HOT replay"])
      put(3, "20", "c3")
      yield* renewed.applyAll()
      clock.now += 30n * microsPerDay
      while ((yield* renewed.materializer.wake).woken > 0) { /* all that is due */ }
      assert.deepStrictEqual(inShort(yield* told), ["HOT>BURNING signal c3", "BURNING>HOT decay"])
    }).pipe(Effect.scoped))

  it.effect("say of decay when the tier was crossed, also where the process was away meanwhile", () =>
    Effect.gen(function*() {
      const { applyAll, clock, materializer, put } = yield* begin
      put(1, "60", "c1", { decay_period_days: 60 })
      put(2, "20", "c2", { decay_period_days: 10 })
      yield* applyAll()
      yield* told
      clock.now = start + 50n * microsPerDay
      yield* materializer.wake
      const [event] = yield* told
      assert.deepStrictEqual([event!.before!.tier, event!.after.tier, event!.cause], ["BURNING", "COLD", { type: "decay", correlation_ids: [] }])
      // From day 10 the score is 60 − day: below 24.995 after day 35.005.
      assert.strictEqual(event!.effective_at, "2026-02-05T00:07:12.000001Z")
    }).pipe(Effect.scoped))

  it.effect("of a row that was deleted and made again compare with what was told last, and are not lost while it can't be written", () =>
    Effect.gen(function*() {
      const { applyAll, changes, materializer, put, query } = yield* begin
      put(1, "60", "c1")
      yield* applyAll()
      yield* query("Deleting", "delete from outreach.bit_scores")
      changes.delete(tables.scores, outreach(1))
      yield* applyAll()
      yield* endRests
      assert.deepStrictEqual(yield* materializer.retryPending, { settled: 1, held: 0 })
      assert.deepStrictEqual(inShort(yield* told), ["->HOT signal c1"])
      yield* query("Deleting", "delete from outreach.bit_scores")
      yield* query("Deleting", "delete from outreach.outreach where outreach_id = $1", [outreach(1)])
      put(2, "30", "c2")
      yield* applyAll()
      assert.deepStrictEqual(yield* told, [])
      yield* query("Inserting", "insert into outreach.outreach (outreach_id, sovereign_id) select $1, company_unique_id from cl.company_identity limit 1", [outreach(1)])
      changes.append(tables.outreach, "c", outreach(1), outreachRow(1))
      yield* applyAll()
      yield* endRests
      yield* materializer.retryPending
      assert.deepStrictEqual(inShort(yield* told), ["HOT>BURNING signal c2"])
    }).pipe(Effect.scoped))

  it.effect("of two instances that race through random changes, decay and deleted rows are a chain that ends at the stored tier", () =>
    Effect.gen(function*() {
      const { applyAll, changes, clock, materializer, put, query } = yield* begin
      const other = yield* run("bit-scores", changes, { now: () => clock.now })
      const random = seeded("announcing", 1)
      const events: Array<TierChanged> = []
      for (let step = 0; step < 80; step++) {
        if (random.chance(0.2)) changes.delete(tables.signals, signal(random.between(1, 6)))
        else put(random.between(1, 6), String(random.between(-20, 60)), `c${step}`, { decay_period_days: random.between(5, 60), signal_timestamp: toIso(clock.now) })
        if (random.chance(0.15)) {
          yield* query("Deleting", "delete from outreach.bit_scores")
          changes.delete(tables.scores, outreach(1))
        }
        clock.now += BigInt(random.between(0, 3)) * microsPerDay
        if (step % 3 === 0) yield* endRests
        yield* Effect.all([materializer, other.materializer].map(({ retryPending }) => Effect.result(retryPending)), { concurrency: 2 })
        yield* Effect.all([applyAll, other.applyAll].map((apply) => Effect.result(apply())), { concurrency: 2 })
        yield* Effect.all([materializer.wake, other.materializer.wake], { concurrency: 2 })
        events.push(...yield* told)
      }
      put(7, "30", "last", { signal_timestamp: toIso(clock.now) })
      yield* applyAll()
      yield* endRests
      yield* materializer.retryPending
      events.push(...yield* told)
      assert.isAbove(events.length, 10)
      events.forEach(({ before }, index) => assert.deepStrictEqual(before, index === 0 ? before : events[index - 1]!.after))
      for (const { after, before } of events) assert.notStrictEqual(before?.tier, after.tier)
      const [row] = yield* query<{ score_tier: string }>("Reading", "select score_tier from outreach.bit_scores")
      assert.strictEqual(events.at(-1)!.after.tier, row!.score_tier)
    }).pipe(Effect.scoped))
})
