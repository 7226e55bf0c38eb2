import { assert, layer } from "@effect/vitest"
import { Effect } from "effect"
import { Postgres } from "../../src/connections/Postgres.ts"
import { unavailableValue } from "../../src/domain/UnavailableValue.ts"
import { Changes, type Row } from "../support/Changes.ts"
import * as TestHub from "../support/TestHub.ts"
import { run } from "./Running.ts"
import { event, eventRow, fresh, outreach, outreachRow, send, sendRow, signal, signalRow, tables } from "./SmallHub.ts"

/** What nobody should write into a column, and somebody will: of the wrong type, at the ends of what Postgres holds, and beyond. */
const nasty: ReadonlyArray<unknown> = [
  null, undefined, "", " ", true, {}, [], [1], { a: null }, "__proto__", "constructor", unavailableValue, "x".repeat(600), "x".repeat(601), "😀".repeat(600), "\u0001\u007f\u2028\"\\",
  0, -1, 1.5, 1e300, 2 ** 31 - 1, -(2 ** 31), 2 ** 53 - 1, 2 ** 60,
  "0", "-0", "1e5", "0x1F", "NaN", "Infinity", "-Infinity", "9".repeat(1_000), `-${"9".repeat(1_000)}.5`, `0.${"0".repeat(500)}1`,
  "infinity", "-infinity", "+294276-12-31T23:59:59.999999Z", "+275760-09-12T23:59:59.999999Z", "-4713-11-24T00:00:00Z", "0000-01-01T00:00:00Z", "9999-99-99T99:99:99Z", "2026-01-01",
  "0A000000-0000-4000-8000-00000000000A", outreach(99)
]

const scoreRow = { outreach_id: outreach(1), score: "10.00", score_tier: "COLD" }
const spendRow = { outreach_context_id: "a", tool_name: "clay", cost_credits: "1.5" }

/** Per pipeline: each source's table, a good row of it, and the key of the n-th row. */
const sources: Readonly<Record<string, ReadonlyArray<readonly [table: string, row: Row, key: (n: number) => string]>>> = {
  "bit-scores": [[tables.signals, { ...signalRow(1), correlation_id: signal(1) }, signal]],
  "campaign-totals": [[tables.sends, sendRow(1), send]],
  "context-spend": [[tables.spend, spendRow, String]],
  "legacy-mirrors": [
    [tables.signals, signalRow(1), signal],
    [tables.events, eventRow(), event],
    [tables.scores, scoreRow, outreach],
    [tables.outreach, outreachRow(1), outreach]
  ]
}

layer(TestHub.layer, { excludeTestServices: true })("whatever stands in a row", (it) => {
  for (const [pipeline, ofPipeline] of Object.entries(sources)) {
    it.effect(`blocks nothing in ${pipeline}: it is applied or set aside, alone, and taken back again`, () =>
      Effect.gen(function*() {
        yield* fresh
        const { query } = yield* Postgres
        const changes = new Changes(1)
        const running = yield* run(pipeline, changes)
        for (const [table, good, key] of ofPipeline) {
          for (const column of Object.keys(good)) {
            const rows = nasty.map((value) => ({ ...good, [column]: value }))
            rows.forEach((row, n) => changes.append(table, "c", key(100 + n), row))
            changes.append(table, "c", key(1), good)
            const applied = yield* Effect.mapError(running.applyAll(), (error) => new Error(`${table}.${column}: ${error.message}`))
            assert.strictEqual(applied.changes, nasty.length + 1, `${table}.${column}`)
            rows.forEach((_, n) => changes.delete(table, key(100 + n)))
            changes.delete(table, key(1))
            yield* running.applyAll()
          }
          for (const key of ["", "x".repeat(3_000), "__proto__", "[\"a\"]", outreach(1).toUpperCase()]) {
            changes.append(table, "c", key, good)
            changes.delete(table, key)
          }
          yield* running.applyAll()
        }
        const entries = `cdc.${pipeline.replaceAll("-", "_")}_1_entries`
        assert.deepStrictEqual(yield* query("Reading", `select key from ${entries}`), [])
      }))
  }
})
