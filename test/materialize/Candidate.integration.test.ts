import { assert, layer } from "@effect/vitest"
import { Effect } from "effect"
import { AppConfig } from "../../src/Config.ts"
import { Postgres } from "../../src/connections/Postgres.ts"
import { microsPerDay } from "../../src/domain/Instant.ts"
import { makeCandidates } from "../../src/materialize/Candidate.ts"
import { beginning, type Cursor } from "../../src/materialize/Comparison.ts"
import type { Materializer } from "../../src/materialize/Materializer.ts"
import { register } from "../../src/materialize/Registration.ts"
import { Changes } from "../support/Changes.ts"
import * as TestHub from "../support/TestHub.ts"
import { promote, reconcile } from "./Replaying.ts"
import { pipelineOf, run } from "./Running.ts"
import { event, eventRow, fresh, outreach, outreachRow, pendingKeys, rowsOf, signal, signalRow, tables } from "./SmallHub.ts"

const start = 1_767_225_600_000_000n // 2026-01-01, the instant of signalRow

const scores = rowsOf("select outreach_id, score, score_tier from outreach.bit_scores")
/** Which transaction wrote each row of the hub and of the tables that outlive generations, and which events were told. */
const versions = Effect.gen(function*() {
  const { query } = yield* Postgres
  const found = yield* query<{ name: string }>("Listing", `select format('%I.%I', schemaname, tablename) as name from pg_tables
    where schemaname in ('outreach', 'outreach_ctx', 'bit', 'cl') or schemaname = 'cdc' and tablename in ('managed', 'surrogates', 'announced', 'pending') order by 1`)
  return yield* Effect.forEach(found, ({ name }) => Effect.map(rowsOf(`select xmin, ctid from ${name}`), (rows) => rows.length === 0 ? [] : [[name, ...rows].join(" ")])).pipe(Effect.map((lines) => lines.flat()))
})

const differences = Effect.fnUntraced(function*({ compare }: Materializer) {
  const cells: Array<string> = []
  for (let cursor: Cursor | undefined = beginning; cursor !== undefined;) {
    const page: Effect.Success<ReturnType<Materializer["compare"]>> = yield* compare(cursor)
    for (const [table, ofTable] of page.cells) cells.push(...ofTable.map((cell) => [table, cell.key, cell.column ?? "(row)", cell.stored ?? "-", cell.wanted ?? "-"].join(" ")))
    cursor = page.next
  }
  return cells.toSorted()
})

layer(TestHub.layer, { excludeTestServices: true })("a candidate", (it) => {
  const begin = Effect.gen(function*() {
    const { query } = yield* Postgres
    yield* fresh
    const changes = new Changes(2)
    const clock = { now: start }
    const options = { now: () => clock.now }
    const put = (n: number, of: number, impact: string) => changes.append(tables.signals, "c", signal(n), signalRow(of, { signal_impact: impact }))
    return { changes, clock, options, put, query }
  })

  it.effect("repairs a wrong state: nothing of the hub moves before the switch, and after it only what differs", () =>
    Effect.gen(function*() {
      const { changes, clock, options, put, query } = yield* begin
      put(1, 1, "30")
      put(2, 2, "60")
      const old = yield* run("bit-scores", changes, options)
      yield* old.applyAll()
      clock.now += 10n * microsPerDay
      yield* query("Corrupting", "update cdc.bit_scores_1_entries set value = replace(value, '60', '6'), due_at = null where key = $1", [signal(2)])
      yield* query("Corrupting", "update outreach.bit_scores set score = 6, score_tier = 'COLD' where outreach_id = $1", [outreach(2)])
      const before = yield* versions
      const corrupt = yield* scores

      const candidate = yield* run("bit-scores", changes, { ...options, isCandidate: true })
      assert.strictEqual(candidate.materializer.generation.name, "bit-scores@2")
      assert.strictEqual(yield* promote(old.pipeline, candidate.materializer), "behind")
      yield* candidate.applyAll()
      assert.deepStrictEqual(yield* versions, before)
      assert.strictEqual(yield* promote(old.pipeline, candidate.materializer), "promoted")
      assert.strictEqual(yield* promote(old.pipeline, candidate.materializer), "gone")
      assert.deepStrictEqual(yield* scores, corrupt)
      assert.lengthOf(yield* pendingKeys, 1)

      const renewed = yield* run("bit-scores", changes, options)
      assert.deepInclude(renewed.materializer.generation, { number: 2, isLive: true })
      assert.deepInclude(yield* renewed.applyAll(), { changes: 0 })
      const untouched = yield* rowsOf(`select xmin, * from outreach.bit_scores where outreach_id = '${outreach(1)}'`)
      assert.strictEqual(yield* reconcile(renewed.materializer), 1)
      assert.deepStrictEqual(yield* rowsOf(`select xmin, * from outreach.bit_scores where outreach_id = '${outreach(1)}'`), untouched)
      assert.deepStrictEqual(yield* rowsOf("select score, score_tier from outreach.bit_scores"), ["(30.00,WARM)", "(53.33,HOT)"])
      assert.deepStrictEqual(yield* pendingKeys, [])
    }))

  it.effect("fences whoever works on the old state, whose tables are then dropped; they go on with the new one, and nothing counts twice", () =>
    Effect.gen(function*() {
      const { changes, options, put, query } = yield* begin
      const { source } = yield* AppConfig
      put(1, 1, "30")
      const [one, two] = [yield* run("bit-scores", changes, options), yield* run("bit-scores", changes, options)]
      yield* one.applyAll()
      const candidate = yield* run("bit-scores", changes, { ...options, isCandidate: true })
      yield* candidate.applyAll()
      yield* promote(one.pipeline, candidate.materializer)
      const postgres = yield* Postgres
      assert.strictEqual(yield* postgres.transaction((sql) => makeCandidates(source.stateSchema, one.pipeline).sweep(sql)), 1)
      assert.deepStrictEqual(yield* rowsOf("select tablename from pg_tables where tablename like 'bit_scores_1_%'"), [])
      put(2, 1, "5")
      for (const work of [two.applyAll(), two.materializer.retryPending, two.materializer.wake, two.materializer.reconcile, candidate.materializer.compare(beginning)]) {
        const error = yield* Effect.flip(work as Effect.Effect<unknown, { readonly reason: string; readonly isRetryable: boolean }>)
        assert.deepStrictEqual([error.reason, error.isRetryable], ["fenced", true])
      }
      const [first, second] = [yield* run("bit-scores", changes, options), yield* run("bit-scores", changes, options)]
      assert.strictEqual((yield* first.applyAll()).changes, 1)
      assert.strictEqual((yield* second.applyAll()).changes, 0)
      assert.strictEqual(yield* reconcile(first.materializer), 0)
      assert.deepStrictEqual(yield* rowsOf("select score, signal_count from outreach.bit_scores"), ["(35.00,2)"])
      assert.deepStrictEqual(yield* query("Reading", "select name from cdc.pipelines"), [{ name: "bit-scores" }])
    }))

  it.effect("zeroes rows that are managed and that the new state knows nothing of", () =>
    Effect.gen(function*() {
      const { changes, options, put } = yield* begin
      put(1, 1, "30")
      put(2, 2, "40")
      yield* (yield* run("bit-scores", changes, options)).applyAll()
      // Compaction has forgotten a row that was deleted while nobody looked.
      const compacted = new Changes(2)
      compacted.append(tables.signals, "c", signal(1), signalRow(1, { signal_impact: "30" }))
      const candidate = yield* run("bit-scores", compacted, { ...options, isCandidate: true })
      yield* candidate.applyAll()
      const postgres = yield* Postgres
      yield* postgres.query("Going on at the same offsets", "update cdc.offsets c set next_offset = l.next_offset from cdc.offsets l where c.pipeline like '%@2' and l.pipeline = 'bit-scores' and c.topic = l.topic and c.partition = l.partition")
      assert.strictEqual(yield* promote(candidate.pipeline, candidate.materializer), "promoted")
      const renewed = yield* run("bit-scores", compacted, options)
      assert.strictEqual(yield* reconcile(renewed.materializer), 1)
      assert.deepStrictEqual(yield* rowsOf("select score, score_tier, signal_count from outreach.bit_scores"), ["(0.00,COLD,0)", "(30.00,WARM,1)"])
    }))

  it.effect("in shadow shows what it would write, and writes nothing; live for the first time it takes over what is equal", () =>
    Effect.gen(function*() {
      const { changes, clock, options, put, query } = yield* begin
      put(1, 1, "30")
      put(2, 2, "60")
      // Another writer keeps the scores: the first as it should be for its own instant, the second not.
      for (const [n, score, tier] of [[1, 28, "WARM"], [2, 60, "HOT"]] as const) {
        yield* query("Inserting", `insert into outreach.bit_scores (outreach_id, score, score_tier, signal_count, people_score, dol_score, blog_score, talent_flow_score, last_signal_at, last_scored_at)
          values ($1, $2, $3, 1, $2, 0, 0, 0, '2026-01-01', '2026-01-07')`, [outreach(n), score, tier])
      }
      clock.now += 20n * microsPerDay
      const before = yield* versions
      const shadow = yield* run("bit-scores", changes, { ...options, isCandidate: true })
      assert.strictEqual(shadow.materializer.generation.name, "bit-scores@1")
      yield* shadow.applyAll()
      const shown = yield* differences(shadow.materializer)
      assert.deepStrictEqual(shown, [
        `outreach.bit_scores ${outreach(2)} people_score 60 56.00`,
        `outreach.bit_scores ${outreach(2)} score 60 56.00`
      ])
      assert.deepStrictEqual(yield* differences(shadow.materializer), shown)
      put(3, 2, "1")
      yield* shadow.applyAll()
      assert.include((yield* differences(shadow.materializer)).join(), "signal_count 1 2")
      assert.deepStrictEqual(yield* versions, before)
      assert.deepStrictEqual(shadow.setAside, [])

      const live = yield* run("bit-scores", changes, options)
      assert.deepInclude(live.materializer.generation, { number: 1, isLive: true, name: "bit-scores" })
      const untouched = yield* rowsOf(`select xmin from outreach.bit_scores where outreach_id = '${outreach(1)}'`)
      assert.strictEqual(yield* reconcile(live.materializer), 1)
      assert.deepStrictEqual(yield* rowsOf(`select xmin from outreach.bit_scores where outreach_id = '${outreach(1)}'`), untouched)
      assert.lengthOf(yield* rowsOf("select from cdc.managed"), 2)
      assert.deepStrictEqual(yield* rowsOf("select signal_count from outreach.bit_scores"), ["(1)", "(2)"])
    }))

  it.effect("keeps the integers of mirrored rows, and adopts those that another writer made", () =>
    Effect.gen(function*() {
      const { changes, options, query } = yield* begin
      const { source } = yield* AppConfig
      const pipeline = yield* pipelineOf("legacy-mirrors")
      for (const n of [1, 2]) changes.append(tables.outreach, "c", outreach(n), outreachRow(n))
      changes.append(tables.signals, "c", signal(1), signalRow(1, { signal_impact: "30" }))
      changes.append(tables.signals, "c", signal(2), signalRow(2, { signal_impact: "40" }))
      changes.append(tables.events, "c", event(1), eventRow())
      const shadow = yield* run(pipeline, changes, { ...options, isCandidate: true })
      yield* shadow.applyAll()
      const missing = (yield* differences(shadow.materializer)).filter((line) => line.startsWith("bit.bit_signal"))
      assert.lengthOf(missing, 3) // two signals and an event
      const live = yield* run(pipeline, changes, options)
      yield* reconcile(live.materializer)
      const mirrors = rowsOf("select * from bit.bit_signal")
      const first = yield* mirrors
      assert.lengthOf(first, 3)

      changes.delete(tables.signals, signal(2))
      const candidate = yield* run(pipeline, changes, { ...options, isCandidate: true })
      yield* candidate.applyAll()
      assert.lengthOf((yield* differences(candidate.materializer)).filter((line) => line.startsWith("bit.bit_signal")), 1)
      assert.strictEqual(yield* promote(pipeline, candidate.materializer), "promoted")
      const renewed = yield* run(pipeline, changes, options)
      yield* reconcile(renewed.materializer)
      assert.lengthOf(yield* mirrors, 2)
      assert.includeMembers([...first], [...yield* mirrors])

      // As if this had never run: the same rows are found again by what they say.
      yield* query("Forgetting", "truncate cdc.surrogates")
      yield* (yield* Postgres).transaction((sql) => makeCandidates(source.stateSchema, pipeline).open(sql, { anew: true, known: false }))
      const again = yield* run(pipeline, changes, { ...options, isCandidate: true })
      yield* again.applyAll()
      assert.deepStrictEqual((yield* differences(again.materializer)).filter((line) => line.startsWith("bit.bit_signal")), [])
    }))

  it.effect("is one for all who build it, and another definition's is not replaced by who was building", () =>
    Effect.gen(function*() {
      const { changes, options, put, query } = yield* begin
      const { source } = yield* AppConfig
      const postgres = yield* Postgres
      put(1, 1, "30")
      put(2, 2, "60")
      const live = yield* run("bit-scores", changes, options)
      yield* live.applyAll()
      const [one, two] = [yield* run("bit-scores", changes, { ...options, isCandidate: true }), yield* run("bit-scores", changes, { ...options, isCandidate: true })]
      assert.strictEqual(one.materializer.generation.name, two.materializer.generation.name)
      yield* one.applyAll()
      assert.strictEqual((yield* two.applyAll()).changes, 0)
      const newer = { ...live.pipeline, version: 2 }
      const candidates = makeCandidates(source.stateSchema, newer)
      assert.strictEqual((yield* Effect.flip(postgres.transaction((sql) => candidates.open(sql, { anew: false, known: true })))).reason, "misconfigured")
      const replaced = yield* run(newer, changes, { ...options, isCandidate: true })
      assert.strictEqual(replaced.materializer.generation.name, "bit-scores@3")
      assert.strictEqual((yield* Effect.flip(one.materializer.wake)).reason, "fenced")
      yield* replaced.applyAll()
      assert.strictEqual(yield* promote(newer, replaced.materializer), "promoted")
      assert.strictEqual((yield* Effect.flip(postgres.transaction((sql) => register(sql, source.stateSchema, live.pipeline)))).reason, "needsReplay")
      assert.deepStrictEqual(yield* query("Reading", "select name, version, generation from cdc.pipelines"), [{ name: "bit-scores", version: 2, generation: 3 }])
    }))
})
