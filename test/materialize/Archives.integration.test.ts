import { assert, layer } from "@effect/vitest"
import { Effect } from "effect"
import type pg from "pg"
import { Postgres } from "../../src/connections/Postgres.ts"
import { seeded } from "../../src/embedded/hub/Random.ts"
import { differencesAfter } from "../pipelines/oracle/Planted.ts"
import { Changes, readRows } from "../support/Changes.ts"
import { hubSession, watchHubWaits } from "../support/HubWaits.ts"
import { telling } from "../support/Telling.ts"
import * as TestHub from "../support/TestHub.ts"
import { run, type Running } from "./Running.ts"
import { company, endRests, fresh, outreach, pendingKeys, rowsOf, signal, signalRow, tables } from "./SmallHub.ts"

const archives = 50
const perArchive = 6
const outreaches = (archives + 10) * perArchive
/** The last archive of all, of this many. */
const cascade = 2_000

/** Children first and the outreach last, in one transaction, as the hub does it. */
const deleteSignals = "delete from outreach.bit_signals where outreach_id = any($1)"
const deleteScores = "delete from outreach.bit_scores where outreach_id = any($1)"
const archiveSteps = [
  deleteSignals,
  deleteScores,
  "delete from outreach.engagement_events where outreach_id = any($1)",
  "delete from outreach.outreach where outreach_id = any($1)"
]

/** A session of the hub. It gives up on any wait of a second, for whomever, and dies of it: a deadlock is one. */
const session = Effect.gen(function*() {
  const client: pg.Client = yield* (yield* Postgres).connect({})
  const say = (statement: string, parameters: ReadonlyArray<unknown> = []) => Effect.promise(() => client.query(statement, [...parameters]))
  yield* say(`set lock_timeout = '1s'; set application_name = '${hubSession}'`)
  return say
})

const fill = Effect.fnUntraced(function*(count: number) {
  const { query } = yield* Postgres
  const ids = Array.from({ length: count }, (_, n) => outreach(n + 1))
  yield* query("Inserting", "insert into outreach.outreach (outreach_id, sovereign_id) select o, $2 from unnest($1::uuid[]) o on conflict do nothing", [ids, company(1)])
  yield* query(
    "Inserting",
    `insert into outreach.bit_signals (signal_id, outreach_id, signal_type, signal_impact, source_spoke, correlation_id, signal_timestamp)
     select s, o, 'made', 10, 'people', s, '2026-01-01T00:00:00Z' from unnest($1::uuid[], $2::uuid[]) as n(s, o)`,
    [ids.map((_, n) => signal(n + 1)), ids]
  )
})

const signalOf = (n: number, impact: string) => [tables.signals, "u", signal(n), signalRow(n, { signal_impact: impact })] as const

/** Scores whatever is not archived yet, again and again, and now and then tries what was held; until `isDone`. */
const score = Effect.fnUntraced(function*({ applyAll, materializer }: Running, changes: Changes, gone: ReadonlySet<number>, isDone: () => boolean) {
  const random = seeded("archives", 1)
  while (!isDone()) {
    for (let n = 0; n < 200; n++) {
      const of = random.between(1, outreaches)
      if (!gone.has(of)) changes.append(...signalOf(of, String(random.between(1, 90))))
    }
    yield* Effect.retry(applyAll(), { while: ({ reason }) => reason === "contended" })
    yield* Effect.retry(materializer.retryPending, { while: ({ reason }) => reason === "contended" })
  }
})

layer(TestHub.layer, { excludeTestServices: true })("archives of outreaches that are being scored", (it) => {
  it.effect("succeed, all of them, with no deadlock and no wait for us beyond 100 ms; what is left has its score", () =>
    Effect.gen(function*() {
      yield* fresh
      yield* fill(outreaches + cascade)
      const changes = new Changes(1)
      const running = yield* run("bit-scores", changes)
      const gone = new Set<number>()
      let done = 0
      const archive = Effect.fnUntraced(function*(first: number, count: number) {
        const numbers = Array.from({ length: count }, (_, n) => first + n)
        const say = yield* session
        yield* say("begin")
        for (const step of archiveSteps) yield* say(step, [numbers.map(outreach)])
        yield* say("commit")
        // Capture tells of it afterwards, one topic before the other.
        for (const n of numbers) gone.add(n)
        for (const n of numbers) changes.delete(tables.scores, outreach(n))
        for (const n of numbers) changes.delete(tables.signals, signal(n))
        for (const n of numbers) changes.delete(tables.outreach, outreach(n))
        done++
      }, Effect.scoped)
      for (let n = 1; n <= outreaches + cascade; n++) changes.append(...signalOf(n, "10"))
      const all = Effect.forEach(Array.from({ length: archives }, (_, n) => 1 + n * perArchive), (first) => archive(first, perArchive), { concurrency: 5 })
      const busy = score(running, changes, gone, () => done > archives)
      const waits = yield* watchHubWaits
      yield* Effect.all([busy, all, archive(outreaches + 1, cascade)], { concurrency: 3 })
      assert.isAtMost(waits.longest, 100 + waits.blind, "ms that the hub waited for us, beyond those in which nobody was running here")

      for (const { key, row } of yield* readRows(yield* Postgres, tables.signals, "signal_id")) changes.append(tables.signals, "u", key, row)
      yield* running.applyAll()
      while ((yield* running.materializer.retryPending).settled > 0);
      assert.deepStrictEqual(yield* pendingKeys, [])
      assert.deepStrictEqual(yield* rowsOf("select count(*) from outreach.bit_scores"), [`(${outreaches - archives * perArchive})`])
      assert.deepStrictEqual((yield* differencesAfter()).filter((difference) => difference.startsWith("outreach.bit_scores")), [])
    }), 60_000)

  it.effect("that have deleted the signals are not met by a score that is inserted behind their back", () =>
    Effect.gen(function*() {
      yield* fresh
      yield* fill(2)
      const changes = new Changes(1)
      const { applyAll, materializer } = yield* run("bit-scores", changes)
      const say = yield* session
      yield* say("begin")
      // The score is not there yet, so nothing of it can be locked, and nor is the outreach.
      yield* say(deleteSignals, [[outreach(1)]])
      changes.append(...signalOf(1, "10"))
      changes.append(...signalOf(2, "10"))
      assert.deepInclude(yield* applyAll(), { written: 1, held: 1 })
      for (const step of archiveSteps) yield* say(step, [[outreach(1)]])
      yield* say("commit")
      assert.deepStrictEqual(yield* materializer.retryPending, { settled: 1, held: 0 })
      assert.deepStrictEqual(yield* rowsOf("select outreach_id from outreach.bit_scores"), [`(${outreach(2)})`])
    }))

  it.effect("that have deleted the scores are not met by a first score, whatever it is of, until they are over", () =>
    Effect.gen(function*() {
      yield* fresh
      yield* fill(2)
      const changes = new Changes(1)
      const { applyAll, materializer } = yield* run("bit-scores", changes)
      const say = yield* session
      yield* say("begin")
      yield* say(deleteScores, [[outreach(1)]]) // there is none, so that nothing of it is locked
      changes.append(...signalOf(1, "10"))
      changes.append(...signalOf(2, "10"))
      assert.deepInclude(yield* applyAll(), { written: 0, held: 2 })
      assert.deepStrictEqual(yield* materializer.retryPending, { settled: 0, held: 2 })
      for (const step of archiveSteps) yield* say(step, [[outreach(1)]])
      yield* say("commit")
      assert.deepStrictEqual(yield* materializer.retryPending, { settled: 2, held: 0 })
      assert.deepStrictEqual(yield* rowsOf("select outreach_id from outreach.bit_scores"), [`(${outreach(2)})`])
    }))

  it.effect("that delete the scores while a first one is inserted have it taken back", () =>
    Effect.gen(function*() {
      yield* fresh
      yield* fill(1)
      const changes = new Changes(1)
      const say = yield* session
      const archiveAtTheWorstInstant = (doing: string) =>
        doing !== "Recording progress" ? Effect.void : Effect.andThen(say("begin"), say(deleteScores, [[outreach(1)]]))
      const postgres = telling(yield* Postgres, archiveAtTheWorstInstant)
      const { applyAll, materializer } = yield* run("bit-scores", changes).pipe(Effect.provideService(Postgres, postgres))
      changes.append(...signalOf(1, "10"))
      assert.strictEqual((yield* Effect.flip(applyAll())).reason, "contended")
      assert.deepInclude(yield* applyAll(), { written: 0, held: 1 })
      for (const step of archiveSteps) yield* say(step, [[outreach(1)]])
      yield* say("commit")
      assert.deepStrictEqual(yield* materializer.retryPending, { settled: 1, held: 0 })
      assert.deepStrictEqual(yield* rowsOf("select count(*) from outreach.bit_scores"), ["(0)"])
    }))

  it.effect("in several transactions are not met by a score that comes back between them, whatever else is told of its outreach; one that is still due then is back", () =>
    Effect.gen(function*() {
      yield* fresh
      yield* fill(2)
      const changes = new Changes(1)
      const { applyAll, materializer } = yield* run("bit-scores", changes)
      const say = yield* session
      for (const n of [1, 2]) changes.append(...signalOf(n, "10"))
      assert.deepInclude(yield* applyAll(), { written: 2, held: 0 })
      yield* say("delete from outreach.bit_scores")
      for (const n of [1, 2]) changes.delete(tables.scores, outreach(n))
      assert.deepInclude(yield* applyAll(), { written: 0, held: 2 })
      for (const n of [1, 2]) changes.append(...signalOf(n, "20"))
      assert.deepInclude(yield* applyAll(), { written: 0, held: 2 })
      assert.deepStrictEqual(yield* materializer.retryPending, { settled: 0, held: 0 }, "not before its time")
      for (const step of archiveSteps) yield* say(step, [[outreach(1)]])
      changes.delete(tables.signals, signal(1))
      yield* applyAll()
      yield* endRests
      assert.deepStrictEqual(yield* materializer.retryPending, { settled: 2, held: 0 })
      assert.deepStrictEqual(yield* pendingKeys, [])
      assert.deepStrictEqual(yield* rowsOf("select outreach_id from outreach.bit_scores"), [`(${outreach(2)})`])
    }))

  it.effect("in several transactions are not met by a score that waited for the first of them, before anything is told of that", () =>
    Effect.gen(function*() {
      yield* fresh
      yield* fill(1)
      const changes = new Changes(1)
      const { applyAll, materializer } = yield* run("bit-scores", changes, { now: () => 1_767_225_600_000_000n }) // as its signals are made
      const say = yield* session
      changes.append(...signalOf(1, "10"))
      assert.deepInclude(yield* applyAll(), { written: 1, held: 0 })
      yield* say("begin")
      yield* say(deleteScores, [[outreach(1)]])
      changes.append(...signalOf(1, "20"))
      assert.deepInclude(yield* applyAll(), { written: 0, held: 1 })
      yield* say("commit")
      assert.deepStrictEqual(yield* materializer.retryPending, { settled: 0, held: 1 }, "it was there, and rests now")
      assert.deepStrictEqual(yield* materializer.retryPending, { settled: 0, held: 0 }, "not before its time")
      for (const step of archiveSteps) yield* say(step, [[outreach(1)]])
      assert.deepStrictEqual(yield* rowsOf("select count(*) from outreach.bit_scores"), ["(0)"])
    }))
})
