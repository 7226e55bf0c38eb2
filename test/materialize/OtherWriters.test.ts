import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { TestClock } from "effect/testing"
import type { Sql } from "../../src/connections/Postgres.ts"
import * as TableName from "../../src/domain/TableName.ts"
import { anewMillis, makeOtherWriters, patienceMillis } from "../../src/materialize/OtherWriters.ts"

const make = () => {
  const hub = { writing: true }
  const sql = { query: () => Effect.sync(() => [{ writing: hub.writing }]) } as unknown as Sql
  return { hub, sql, ...makeOtherWriters(TableName.TableName("outreach", "bit_scores")) }
}

describe("other writers of a table", () => {
  it.effect("are given way to for two minutes without a break, and no longer", () =>
    Effect.gen(function*() {
      const { areWriting, hub, sql } = make()
      for (let waited = 0; waited < patienceMillis; waited += 1_000) {
        assert.isTrue(yield* areWriting(sql))
        yield* TestClock.adjust(waited + 1_000 < patienceMillis ? 1_000 : 999)
      }
      assert.isTrue(yield* areWriting(sql))
      yield* TestClock.adjust(1)
      assert.isFalse(yield* areWriting(sql), "somebody has left a transaction open")
      assert.isFalse(yield* areWriting(sql))
      hub.writing = false
      assert.isFalse(yield* areWriting(sql))
      hub.writing = true
      assert.isTrue(yield* areWriting(sql), "that is another one")
    }))

  it.effect("are others, given way to anew, where nothing had to be inserted meanwhile, so that nobody looked", () =>
    Effect.gen(function*() {
      const { areWriting, sql } = make()
      assert.isTrue(yield* areWriting(sql))
      yield* TestClock.adjust(patienceMillis + anewMillis)
      assert.isTrue(yield* areWriting(sql), "the first one took with it what waited for it")
    }))
})
