import { assert, layer } from "@effect/vitest"
import { Effect } from "effect"
import fc from "fast-check"
import type { AppConfig } from "../../src/Config.ts"
import type { Postgres } from "../../src/connections/Postgres.ts"
import { batchOf } from "../support/Changes.ts"
import * as TestHub from "../support/TestHub.ts"
import { aggregates, beginning, changesOf, ended, history, now, sources } from "./CrossReferences.ts"
import { run } from "./Running.ts"

/** How a history reaches a pipeline: what is in its topics again, in what pieces it is read, and what is tried of it once more. */
interface Delivery {
  /** By source and step: so many records once more, from so many back; what came after them is not repeated. */
  readonly resent: ReadonlyArray<ReadonlyArray<readonly [count: number, back: number]>>
  /** Read so many records of a source; before, try to apply from so many records back, as who does not know that it was done. */
  readonly turns: ReadonlyArray<{ readonly source: number; readonly records: number; readonly back: number }>
}

const deliveries = (ofPipeline: ReadonlyArray<string>): fc.Arbitrary<Delivery> =>
  fc.record({
    resent: fc.tuple(...ofPipeline.map((table) => fc.array(fc.tuple(fc.nat(3), fc.nat(6)), { minLength: history[table]!.length, maxLength: history[table]!.length }))),
    turns: fc.array(fc.record({ source: fc.nat(ofPipeline.length - 1), records: fc.integer({ min: 1, max: 9 }), back: fc.nat(9) }), { maxLength: 20 })
  })

const outcomeOf = Effect.fnUntraced(function*(name: string, { resent, turns }: Delivery) {
  const ofPipeline = sources[name]!
  yield* beginning
  const { applyAll, logs, materializer } = yield* run(name, changesOf(ofPipeline, (table, step) => resent[ofPipeline.indexOf(table)]?.[step] ?? [0, 0]), { now })
  const at = logs.map(() => 0)
  for (const { back, records, source } of turns) {
    const [log, from] = [logs[source]!, at[source]!]
    const stale = Math.max(0, from - back)
    if (stale < from) assert.strictEqual((yield* Effect.flip(materializer.apply([batchOf(log, stale)]))).reason, "superseded")
    at[source] = Math.min(log.changes.length, from + records)
    if (at[source] > from) yield* materializer.apply([batchOf(log, from, at[source])])
  }
  yield* applyAll()
  return yield* aggregates
})

layer(TestHub.layer, { excludeTestServices: true })("what is delivered again", (it) => {
  for (const [name, ofPipeline] of Object.entries(sources)) {
    it.effect(`is applied once by ${name}: any stretch written twice, any prefix read twice`, () =>
      Effect.gen(function*() {
        yield* ended
        yield* run(name, changesOf(ofPipeline), { now }) // makes the state that is emptied each time
        const expected = yield* outcomeOf(name, { resent: [], turns: [] })
        const context = yield* Effect.context<AppConfig | Postgres>()
        yield* Effect.promise(() => fc.assert(
          fc.asyncProperty(deliveries(ofPipeline), async (delivery) => {
            assert.deepStrictEqual(await Effect.runPromiseWith(context)(outcomeOf(name, delivery)), expected)
          }),
          { numRuns: 12 }
        ))
      }), 60_000)
  }
})
