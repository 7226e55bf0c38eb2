import { assert, layer } from "@effect/vitest"
import { Effect } from "effect"
import { Postgres, type Sql } from "../../../src/connections/Postgres.ts"
import { stateTables } from "../../../src/materialize/StateTables.ts"
import { makeUnclaimedRows } from "../../../src/materialize/UnclaimedRows.ts"
import { run } from "../../materialize/Running.ts"
import { company, event, eventRow, fresh, outreach, outreachRow, person, rowsOf, signal, signalRow, tables } from "../../materialize/SmallHub.ts"
import { batchOf, Changes } from "../../support/Changes.ts"
import * as TestHub from "../../support/TestHub.ts"

const mirrored = rowsOf("select signal_id, company_unique_id is not null as known, signal_type, signal_strength from bit.bit_signal")
const companyScore = rowsOf("select signal_count, email_score, linkedin_score, website_score, score, score_tier from bit.bit_company_score")

const begin = Effect.gen(function*() {
  yield* fresh
  const changes = new Changes(1)
  const running = yield* run("legacy-mirrors", changes)
  return { ...running, changes, query: (yield* Postgres).query }
})

/** A row of the older scoring as somebody once made it of `eventRow()`. */
const legacyRow = `insert into bit.bit_signal (company_unique_id, signal_type, signal_strength, source, captured_at)
  values ('${company(1)}', 'email_click', 3, 'unknown', '2026-01-01')`

/** Of tables that grow with what is mirrored, by this transaction. */
const rowsRead = `select pg_stat_force_next_flush(), sum(seq_tup_read + coalesce(idx_tup_fetch, 0))::int as rows from pg_stat_xact_all_tables
  where schemaname || '.' || relname in ('bit.bit_signal', 'cdc.surrogates', 'cdc.unclaimed')`

layer(TestHub.layer, { excludeTestServices: true })("legacy-mirrors", (it) => {
  it.effect("sets aside a company too long to be a key, and applies the rest", () =>
    Effect.gen(function*() {
      const { applyAll, changes, setAside } = yield* begin
      changes.append(tables.events, "c", event(1), eventRow({ company_unique_id: "x".repeat(3_000) }))
      changes.append(tables.events, "c", event(2), eventRow({ company_unique_id: "x".repeat(600) }))
      yield* applyAll()
      assert.deepStrictEqual(setAside.map(({ why }) => why.reason), ["key-too-long"])
      assert.deepStrictEqual(yield* companyScore, ["(1,3,0,0,0,COLD)"])
    }))

  it.effect("adopts as many equal rows as there are source rows, and no more", () =>
    Effect.gen(function*() {
      const { applyAll, changes, query } = yield* begin
      yield* query("Inserting", legacyRow)
      yield* query("Inserting", legacyRow)
      yield* query("Inserting", legacyRow.replace("3,", "4,"))
      changes.append(tables.outreach, "r", outreach(1), outreachRow(1))
      yield* applyAll()
      for (const n of [1, 2, 3]) changes.append(tables.events, "r", event(n), eventRow())
      yield* applyAll()
      assert.deepStrictEqual(yield* mirrored, ["(1,t,email_click,3)", "(2,t,email_click,3)", "(3,t,email_click,4)", "(4,t,email_click,3)"])
      assert.deepStrictEqual(yield* rowsOf("select id from cdc.surrogates"), ["(1)", "(2)", "(4)"])
      assert.deepStrictEqual(yield* companyScore, ["(3,9,0,0,0,COLD)"], "what nobody manages does not count")
    }))

  it.effect("two instances that see the same legacy rows at once each adopt another", () =>
    Effect.gen(function*() {
      yield* fresh
      const { query } = yield* Postgres
      const changes = new Changes(2)
      const [one, two] = [yield* run("legacy-mirrors", changes), yield* run("legacy-mirrors", changes)]
      const count = 600 // enough for both to be looking at the same rows
      yield* query(
        "Inserting",
        `insert into bit.bit_signal (signal_type, signal_strength, source, captured_at)
         select 'email_click', 3, 'unknown', '2026-01-01' from generate_series(1, $1)`,
        [count]
      )
      for (let n = 0; n < count; n++) changes.append(tables.events, "r", event(n), eventRow({ outreach_id: null }))
      const apply = (running: typeof one, partition: number) =>
        Effect.retry(running.materializer.apply([batchOf(changes.log(tables.events, partition), 0)]), { times: 5, while: (error) => error.reason === "contended" })
      yield* Effect.all([apply(one, 0), apply(two, 1)], { concurrency: 2 })
      assert.deepStrictEqual(yield* rowsOf("select count(*), max(signal_id) from bit.bit_signal"), [`(${count},${count})`])
      assert.deepStrictEqual(yield* rowsOf("select count(*) from cdc.surrogates"), [`(${count})`])
    }))

  it.effect("adopts rows that were made since it looked last, and looks at none twice", () =>
    Effect.gen(function*() {
      const { applyAll, changes, query } = yield* begin
      const adopted = Effect.fnUntraced(function*(n: number) {
        changes.append(tables.events, "r", event(n), eventRow())
        yield* applyAll()
        return yield* rowsOf("select id from cdc.surrogates")
      })
      yield* query("Inserting", legacyRow)
      changes.append(tables.outreach, "r", outreach(1), outreachRow(1))
      assert.deepStrictEqual(yield* adopted(1), ["(1)"])
      yield* query("Inserting", legacyRow)
      assert.deepStrictEqual(yield* adopted(2), ["(1)", "(2)"])
      assert.deepStrictEqual(yield* rowsOf("select listed_to from cdc.unclaimed_to"), ["(2)"])
      // A row that was managed when it was looked at is not found again, although it is equal: its table is not searched.
      assert.deepStrictEqual(yield* adopted(3), ["(1)", "(2)", "(3)"])
      assert.deepStrictEqual(yield* adopted(4), ["(1)", "(2)", "(3)", "(4)"])
      yield* query("Forgetting", "delete from cdc.surrogates where id = 3")
      assert.deepStrictEqual(yield* adopted(5), ["(1)", "(2)", "(4)", "(5)"])
    }))

  it.effect("keeps an unclaimed row for the next who asks, if who found it did not commit, and gives away none that was changed", () =>
    Effect.gen(function*() {
      const { pipeline, query } = yield* begin
      const { transaction } = yield* Postgres
      const unclaimed = makeUnclaimedRows(pipeline, pipeline.mirror!, stateTables("cdc", pipeline.name, 1))
      const wanted = { columns: { company_unique_id: company(1), signal_type: "email_click", signal_strength: 3, source: "unknown", captured_at: "2026-01-01" } }
      const find = (sql: Sql) => Effect.map(unclaimed.equalTo(sql, [wanted]), (found) => found.map(({ id }) => id))
      yield* query("Inserting", legacyRow)
      assert.deepStrictEqual(yield* Effect.flip(transaction((sql) => Effect.flatMap(find(sql), Effect.fail))), [1n])
      assert.deepStrictEqual(yield* transaction(find), [1n])
      yield* query("Changing", "update bit.bit_signal set signal_strength = 4")
      assert.deepStrictEqual(yield* transaction(find), [])
      yield* query("Deleting", "delete from bit.bit_signal")
      assert.deepStrictEqual(yield* transaction(find), [])
    }))

  it.effect("waits for nobody where no row is unclaimed", () =>
    Effect.gen(function*() {
      const { applyAll, changes, pipeline } = yield* begin
      const { transaction } = yield* Postgres
      const unclaimed = makeUnclaimedRows(pipeline, pipeline.mirror!, stateTables("cdc", pipeline.name, 1))
      const find = (sql: Sql) => unclaimed.equalTo(sql, [{ columns: {} }])
      changes.append(tables.events, "r", event(1), eventRow({ outreach_id: null }))
      yield* applyAll()
      const beside = transaction((sql) => Effect.andThen(sql.query("Limiting the wait", "set local lock_timeout = '500ms'"), find(sql)))
      assert.deepStrictEqual(yield* transaction((sql) => Effect.andThen(find(sql), beside)), [])
      assert.deepStrictEqual(yield* rowsOf("select listed_to from cdc.unclaimed_to"), ["(1)"], "both passed over the row that is managed")
    }))

  it.effect("reads of the older rows what a batch needs, however many there are, equal ones too", () =>
    Effect.gen(function*() {
      yield* fresh
      const postgres = yield* Postgres
      const changes = new Changes(1)
      let read = 0
      const counting: typeof Postgres.Service.transaction = (work) =>
        postgres.transaction((sql) => Effect.tap(work(sql), () => Effect.map(sql.query<{ rows: number }>("Counting", rowsRead), ([row]) => void (read = row!.rows))))
      const { applyAll } = yield* Effect.provideService(run("legacy-mirrors", changes), Postgres, { ...postgres, transaction: counting })
      const [older, batch] = [20_000, 100]
      yield* postgres.query(
        "Inserting",
        `insert into bit.bit_signal (signal_type, signal_strength, source, captured_at)
         select 'email_click', 3 + n % 2, 'unknown', '2026-01-01' from generate_series(1, $1) n`, // one half equals the clicks
        [older]
      )
      const reads: Array<number> = []
      for (let n = 0; n < 5 * batch; n++) {
        changes.append(tables.events, "r", event(n), eventRow({ outreach_id: null, event_type: n % 2 === 0 ? "email_click" : "form_submit" }))
        if (n % batch !== batch - 1) continue
        yield* applyAll()
        reads.push(read)
      }
      assert.isAbove(reads[0]!, older, "the first lists them")
      for (const read of reads.slice(1)) assert.isBelow(read, 20 * batch)
      assert.deepStrictEqual(yield* rowsOf(`select count(*) filter (where id <= ${older}), count(*) from cdc.surrogates`), ["(250,500)"])
      assert.deepStrictEqual(yield* rowsOf("select count(*) from cdc.unclaimed"), [`(${older - 250})`])
    }))

  it.effect("does not adopt for a row of the stream, and writes over no row that the sequence runs into", () =>
    Effect.gen(function*() {
      const { applyAll, changes, query } = yield* begin
      yield* query("Inserting", legacyRow)
      yield* query("Setting back", "select setval('bit.bit_signal_signal_id_seq', 1, false)")
      changes.append(tables.outreach, "c", outreach(1), outreachRow(1))
      changes.append(tables.events, "c", event(1), eventRow({ event_type: "form_submit" }))
      yield* applyAll()
      assert.deepStrictEqual(yield* mirrored, ["(1,t,email_click,3)", "(2,t,form_submit,8)"])
    }))

  it.effect("an event that is un-flagged gets its old integer back", () =>
    Effect.gen(function*() {
      const { applyAll, changes } = yield* begin
      const flag = Effect.fnUntraced(function*(is_duplicate: boolean | null) {
        changes.append(tables.events, "u", event(1), eventRow({ is_duplicate, person_id: person(1) }))
        yield* applyAll()
        return [...yield* mirrored, ...yield* rowsOf("select score, signal_count, email_clicks from bit.bit_contact_score")]
      })
      changes.append(tables.events, "c", event(2), eventRow({ outreach_id: null }))
      assert.deepStrictEqual(yield* flag(true), ["(1,f,email_click,3)"])
      assert.deepStrictEqual(yield* flag(null), ["(1,f,email_click,3)", "(2,f,email_click,3)", "(3,1,1)"])
      assert.deepStrictEqual(yield* flag(true), ["(1,f,email_click,3)", "(0,0,0)"])
      changes.append(tables.events, "c", event(3), eventRow({ outreach_id: null }))
      assert.deepStrictEqual(yield* flag(false), ["(1,f,email_click,3)", "(2,f,email_click,3)", "(3,f,email_click,3)", "(3,1,1)"])
    }))

  it.effect("a row waits without company for its outreach, and a company that loses its last row keeps zeros", () =>
    Effect.gen(function*() {
      const { applyAll, changes } = yield* begin
      changes.append(tables.signals, "c", signal(1), signalRow(1, { signal_type: "email_open", signal_impact: "-2.5" }))
      yield* applyAll()
      assert.deepStrictEqual(yield* mirrored, ["(1,f,email_open,-3)"])
      assert.deepStrictEqual(yield* companyScore, [])
      changes.append(tables.outreach, "c", outreach(1), outreachRow(1))
      yield* applyAll()
      assert.deepStrictEqual(yield* mirrored, ["(1,t,email_open,-3)"])
      assert.deepStrictEqual(yield* companyScore, ["(1,-3,0,0,0,COLD)"])
      changes.delete(tables.signals, signal(1))
      yield* applyAll()
      assert.deepStrictEqual(yield* companyScore, ["(0,0,0,0,0,COLD)"])
    }))

  it.effect("truncates of the outreaches and of the scores leave companies without", () =>
    Effect.gen(function*() {
      const { applyAll, changes } = yield* begin
      changes.append(tables.outreach, "c", outreach(1), outreachRow(1))
      changes.append(tables.scores, "c", outreach(1), { outreach_id: outreach(1), score: "60", score_tier: "HOT" })
      changes.append(tables.events, "c", event(1), eventRow())
      yield* applyAll()
      assert.deepStrictEqual(yield* companyScore, ["(1,3,0,0,60,HOT)"])
      changes.truncate(tables.scores)
      yield* applyAll()
      assert.deepStrictEqual(yield* companyScore, ["(1,3,0,0,0,COLD)"])
      changes.truncate(tables.outreach)
      yield* applyAll()
      assert.deepStrictEqual(yield* companyScore, ["(0,0,0,0,0,COLD)"])
      assert.deepStrictEqual(yield* mirrored, ["(1,f,email_click,3)"])
    }))

  it.effect("the highest of a company's scores counts, rounded half away from zero", () =>
    Effect.gen(function*() {
      const { applyAll, changes } = yield* begin
      const score = (n: number, score: string, tier: string) =>
        changes.append(tables.scores, "u", outreach(n), { outreach_id: outreach(n), score, score_tier: tier })
      for (const n of [1, 2]) changes.append(tables.outreach, "c", outreach(n), outreachRow(n))
      changes.append(tables.signals, "c", signal(1), signalRow(1))
      score(1, "24.50", "COLD")
      score(2, "9", "COLD")
      yield* applyAll()
      assert.deepStrictEqual(yield* companyScore, ["(1,0,0,0,25,COLD)"])
      score(2, "100", "BURNING")
      yield* applyAll()
      assert.deepStrictEqual(yield* companyScore, ["(1,0,0,0,100,BURNING)"])
      changes.delete(tables.scores, outreach(2))
      yield* applyAll()
      assert.deepStrictEqual(yield* companyScore, ["(1,0,0,0,25,COLD)"])
    }))

  it.effect("sums that no integer holds stop at its end, and strengths beyond it are set aside", () =>
    Effect.gen(function*() {
      const { applyAll, changes, setAside } = yield* begin
      changes.append(tables.outreach, "c", outreach(1), outreachRow(1))
      for (const n of [1, 2]) changes.append(tables.signals, "c", signal(n), signalRow(1, { signal_type: "email_open", signal_impact: "2147483647.4" }))
      changes.append(tables.signals, "c", signal(3), signalRow(1, { signal_impact: "2147483647.5" }))
      changes.append(tables.scores, "c", outreach(1), { outreach_id: outreach(1), score: "1e400", score_tier: "COLD" })
      changes.append(tables.scores, "c", outreach(2), { outreach_id: outreach(2), score: `1${"0".repeat(30)}`, score_tier: "COLD" })
      yield* applyAll()
      assert.deepStrictEqual(yield* companyScore, ["(2,2147483647,0,0,0,COLD)"])
      assert.deepStrictEqual(setAside.map(({ why }) => why.reason).sort(), ["impact-beyond-integer", "score-beyond-measure", "score-not-finite"])
    }))
})
