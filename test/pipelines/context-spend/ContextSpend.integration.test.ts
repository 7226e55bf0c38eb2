import { assert, layer } from "@effect/vitest"
import { Effect } from "effect"
import { Postgres } from "../../../src/connections/Postgres.ts"
import * as RowKey from "../../../src/domain/RowKey.ts"
import { makeOwnTables } from "../../../src/materialize/OwnTables.ts"
import { register } from "../../../src/materialize/Registration.ts"
import { makeTargets } from "../../../src/run/Setup.ts"
import { reconcile } from "../../materialize/Replaying.ts"
import { pipelineOf, run } from "../../materialize/Running.ts"
import { fresh, pendingKeys, rowsOf, spendRow, tables } from "../../materialize/SmallHub.ts"
import { Changes, readRows } from "../../support/Changes.ts"
import * as TestHub from "../../support/TestHub.ts"
import { countsOf, differencesAfter } from "../oracle/Planted.ts"

const stored = rowsOf("select outreach_context_id, tool_name, credits, attempts from reporting.context_spend")

const begin = Effect.gen(function*() {
  yield* fresh
  const changes = new Changes(2)
  return { ...yield* run("context-spend", changes), changes, query: (yield* Postgres).query }
})

layer(TestHub.layer, { excludeTestServices: true })("context-spend", (it) => {
  it.effect("sums exactly what each context has spent with each tool; no cost is an attempt, no tool is unknown", () =>
    Effect.gen(function*() {
      const { applyAll, changes } = yield* begin
      const rows: ReadonlyArray<readonly [string, string | null, string | null]> = [
        ["a", "clay", "0.1"], ["a", "clay", "0.2"], ["a", "clay", null], ["a", "hunter", "1e0"], ["a", null, "-2"], ["b", "clay", "0.0000005"]
      ]
      rows.forEach((row, n) => changes.append(tables.spend, "c", String(n), spendRow(...row)))
      const { bad } = yield* applyAll()
      assert.deepStrictEqual(bad.map(({ reason }) => reason), ["credits-not-finite"], "numeric is never written with an exponent")
      assert.deepStrictEqual(yield* stored, ["(a,clay,0.300000,3)", "(a,unknown,-2.000000,1)", "(b,clay,0.000001,1)"])
    }))

  it.effect("takes back what is corrected, moved or deleted; bad credits end what the row gave, and zeros stay", () =>
    Effect.gen(function*() {
      const { applyAll, changes } = yield* begin
      const after = Effect.fnUntraced(function*(row: ReturnType<typeof spendRow> | null) {
        if (row === null) changes.delete(tables.spend, "1")
        else changes.append(tables.spend, "u", "1", row)
        yield* applyAll()
        return yield* stored
      })
      assert.deepStrictEqual(yield* after(spendRow("a", "clay", "5")), ["(a,clay,5.000000,1)"])
      assert.deepStrictEqual(yield* after(spendRow("a", "hunter", "5")), ["(a,clay,0.000000,0)", "(a,hunter,5.000000,1)"])
      assert.deepStrictEqual(yield* after(spendRow("a", "hunter", "NaN")), ["(a,clay,0.000000,0)", "(a,hunter,0.000000,0)"])
      assert.deepStrictEqual(yield* after(spendRow("a", "clay", "7")), ["(a,clay,7.000000,1)", "(a,hunter,0.000000,0)"])
      assert.deepStrictEqual(yield* after(null), ["(a,clay,0.000000,0)", "(a,hunter,0.000000,0)"])
    }))

  it.effect("keeps keys apart whatever is in them, and its oracle writes them in the same way", () =>
    Effect.gen(function*() {
      const { applyAll, changes, query } = yield* begin
      const odd = ["a", "b", "a\",\"b", "[\"a\"]", "\\", "tab\tnew\nline\u0001\u007f", "ünï 😀 \u2028", "", "a,b"]
      const pairs = odd.flatMap((context) => odd.map((tool) => [context, tool] as const))
      for (const context of odd) yield* query("Inserting", "insert into outreach_ctx.context (outreach_context_id) values ($1)", [context])
      for (const [context, tool] of pairs) {
        yield* query("Inserting", "insert into outreach_ctx.spend_log (outreach_context_id, tool_name, cost_credits) values ($1, $2, 1.5)", [context, tool])
      }
      for (const { key, row } of yield* readRows({ query }, tables.spend, "id")) changes.append(tables.spend, "r", key, row)
      assert.deepInclude(yield* applyAll(), { written: pairs.length, bad: [] })
      assert.deepStrictEqual(yield* differencesAfter(), [])
      const managed = yield* query<{ key: string }>("Reading", "select key from cdc.managed")
      assert.deepStrictEqual(managed.map(({ key }) => key).toSorted(), pairs.map((pair) => RowKey.of(pair)).toSorted())

      const key = RowKey.of([odd[2], odd[4]])
      const spoil = ["update reporting.context_spend set credits = 2 where outreach_context_id = $1 and tool_name = $2", odd[2], odd[4]] as const
      assert.deepStrictEqual(yield* differencesAfter(spoil), [`reporting.context_spend ${key} credits: 2 → 1.500000`])
      assert.deepStrictEqual(yield* differencesAfter(["delete from reporting.context_spend where outreach_context_id = $1 and tool_name = $2", odd[2], odd[4]]), [
        `reporting.context_spend ${key} (row): absent → present`
      ])
    }))

  it.effect("leaves a row alone that it never wrote, and gives way to who holds one of its own", () =>
    Effect.gen(function*() {
      const { applyAll, changes, materializer, query } = yield* begin
      yield* query("Inserting", "insert into reporting.context_spend values ('by hand', 'clay', 3, 3)")
      changes.append(tables.spend, "c", "1", spendRow("a", "clay", "1"))
      yield* applyAll()
      assert.deepStrictEqual(yield* countsOf("reporting.context_spend"), { compared: 1n, unmanaged: 1n })
      const { transaction } = yield* Postgres
      yield* transaction(Effect.fnUntraced(function*(sql) {
        yield* sql.query("Holding", "select from reporting.context_spend for update")
        changes.append(tables.spend, "c", "2", spendRow("a", "clay", "1"))
        assert.deepInclude(yield* applyAll(), { written: 0, held: 1 })
      }))
      assert.deepStrictEqual(yield* pendingKeys, ["(reporting.context_spend,\"[\"\"a\"\",\"\"clay\"\"]\")"])
      assert.deepStrictEqual(yield* materializer.retryPending, { settled: 1, held: 0 })
      assert.deepStrictEqual(yield* stored, ["(\"by hand\",clay,3,3)", "(a,clay,2.000000,2)"])
    }))
})

layer(TestHub.layer, { excludeTestServices: true })("a table that is a pipeline's own", (it) => {
  it.effect("is made once, gains columns, and is required before the pipeline starts", () =>
    Effect.gen(function*() {
      yield* begin
      const postgres = yield* Postgres
      const pipeline = yield* pipelineOf("context-spend")
      assert.deepStrictEqual(yield* makeOwnTables(postgres, [pipeline]), ["table reporting.context_spend: there"])
      yield* postgres.query("Dropping", "alter table reporting.context_spend drop column attempts")
      const refused = yield* Effect.flip(register(postgres, "cdc", pipeline))
      assert.strictEqual(refused.reason, "notSetUp")
      assert.match(refused.message, /reporting\.context_spend .*attempts; run `cdc setup`/)
      assert.deepStrictEqual(yield* makeOwnTables(postgres, [pipeline]), ["table reporting.context_spend: there, given attempts"])
      assert.strictEqual((yield* register(postgres, "cdc", pipeline)).number, 1)
    }))

  it.effect("that was dropped, or lacks a column, is made and filled again from the state that there is", () =>
    Effect.gen(function*() {
      const { applyAll, changes, materializer, query } = yield* begin
      const pipeline = yield* pipelineOf("context-spend")
      changes.append(tables.spend, "c", "1", spendRow("a", "clay", "5"))
      changes.append(tables.spend, "c", "2", spendRow("b", "clay", "6"))
      yield* applyAll()
      const before = yield* stored
      for (const [n, loss] of ["drop table reporting.context_spend", "alter table reporting.context_spend drop column credits"].entries()) {
        yield* query("Losing", loss)
        assert.match((yield* makeTargets([pipeline])).at(-1)!, /from its state/)
        if (n === 0) { // setup is run again while the pipeline is at it
          yield* query("Losing", loss)
          yield* makeTargets([pipeline])
        }
        assert.strictEqual(yield* reconcile(materializer), 2)
        assert.deepStrictEqual(yield* rowsOf("select outreach_context_id, tool_name, credits, attempts from reporting.context_spend"), before)
        assert.deepStrictEqual(yield* pendingKeys, [])
      }
      assert.deepStrictEqual(yield* makeTargets([pipeline]), ["table reporting.context_spend: there"])
    }))

  it.effect("needs no right to make it once it is there; without it and the right, the error says what to run", () =>
    Effect.gen(function*() {
      yield* fresh
      const { transaction } = yield* Postgres
      const pipeline = yield* pipelineOf("context-spend")
      const asNobody = transaction(Effect.fnUntraced(function*(sql) {
        yield* sql.query("Becoming nobody", "set local role pg_monitor")
        return yield* makeOwnTables(sql, [pipeline])
      }))
      const refused = yield* Effect.flip(asNobody)
      assert.strictEqual(refused.reason, "forbidden")
      const statements = /may run: (.*); and grant/.exec(refused.message)![1]!
      yield* transaction((sql) => sql.query("Doing what it says", `${statements}; grant usage on schema reporting to pg_monitor`))
      assert.deepStrictEqual(yield* asNobody, ["table reporting.context_spend: there"])
    }))
})
