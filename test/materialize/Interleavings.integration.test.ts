import { assert, layer } from "@effect/vitest"
import { Effect } from "effect"
import fc from "fast-check"
import { Postgres } from "../../src/connections/Postgres.ts"
import { batchOf, Changes } from "../support/Changes.ts"
import * as TestHub from "../support/TestHub.ts"
import { aggregates, beginning, changesOf, ended, history, now, sources } from "./CrossReferences.ts"
import { run, type Running } from "./Running.ts"
import { company, fresh, outreach, outreachRow, pendingKeys, rowsOf, signal, signalRow, tables } from "./SmallHub.ts"

/** A batch of so many records of a source. */
type Turn = readonly [source: number, records: number]

const applyInTurn = Effect.fnUntraced(function*({ logs, materializer }: Running, turns: ReadonlyArray<Turn>) {
  const at = logs.map(() => 0)
  for (const [source, records] of turns) {
    const from = at[source]!
    at[source] = from + records
    yield* materializer.apply([batchOf(logs[source]!, from, from + records)])
  }
})

/** What the pipeline's rows are after these turns, and what it left to be tried again. */
const outcomeOf = Effect.fnUntraced(function*(running: Running, turns: ReadonlyArray<Turn>) {
  yield* beginning
  yield* applyInTurn(running, turns)
  return { rows: yield* aggregates, pending: yield* pendingKeys }
})

const permutations = <A>(of: ReadonlyArray<A>): ReadonlyArray<ReadonlyArray<A>> =>
  of.length < 2 ? [of] : of.flatMap((first) => permutations(of.filter((one) => one !== first)).map((rest) => [first, ...rest]))

layer(TestHub.layer, { excludeTestServices: true })("the order of topics", (it) => {
  for (const [name, ofPipeline] of Object.entries(sources)) {
    it.effect(`does not matter to ${name}: each topic wholly before each other, and shuffles record by record`, () =>
      Effect.gen(function*() {
        yield* ended
        const running = yield* run(name, changesOf(ofPipeline), { now })
        const whole = ofPipeline.map((table, source): Turn => [source, history[table]!.length])
        const expected = yield* outcomeOf(running, whole)
        assert.isAbove(expected.rows.length, 1)
        assert.deepStrictEqual(expected.pending, [], "a parent that is not there leaves nothing to be tried again")
        for (const order of permutations(whole)) {
          assert.deepStrictEqual(yield* outcomeOf(running, order), expected, JSON.stringify(order))
        }
        const single = whole.flatMap(([source, records]) => Array.from({ length: records }, (): Turn => [source, 1]))
        const context = yield* Effect.context<Postgres>()
        yield* Effect.promise(() => fc.assert(
          fc.asyncProperty(fc.shuffledSubarray(single, { minLength: single.length }), async (turns) => {
            assert.deepStrictEqual(await Effect.runPromiseWith(context)(outcomeOf(running, turns)), expected)
          }),
          { numRuns: 10 }
        ))
      }), 60_000)
  }

  it.effect("leaves a score to appear with its outreach, once, whatever else is in the batch", () =>
    Effect.gen(function*() {
      yield* fresh
      const { query } = yield* Postgres
      const changes = new Changes(1)
      const { applyAll } = yield* run("bit-scores", changes, { now })
      changes.append(tables.signals, "c", signal(1), signalRow(3))
      changes.append(tables.signals, "c", signal(2), signalRow(1))
      assert.deepInclude(yield* applyAll(), { written: 1, orphans: 1, held: 0 })
      yield* query("Inserting", "insert into outreach.outreach (outreach_id, sovereign_id) values ($1, $2)", [outreach(3), company(1)])
      changes.append(tables.outreach, "c", outreach(3), outreachRow(3))
      assert.deepInclude(yield* applyAll(), { written: 1, orphans: 0 })
      assert.deepStrictEqual(yield* rowsOf("select outreach_id, score from outreach.bit_scores"), [`(${outreach(1)},10.00)`, `(${outreach(3)},10.00)`].toSorted())
    }))
})
