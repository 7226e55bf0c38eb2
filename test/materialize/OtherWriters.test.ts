import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { TestClock } from "effect/testing"
import type { Sql } from "../../src/connections/Postgres.ts"
import * as TableName from "../../src/domain/TableName.ts"
import { makeOtherWriters, patienceMillis } from "../../src/materialize/OtherWriters.ts"

describe("other writers of a table", () => {
  it.effect("are given way to for a minute without a break, and no longer", () =>
    Effect.gen(function*() {
      let writing = true
      const sql = { query: () => Effect.sync(() => [{ writing }]) } as unknown as Sql
      const { areWriting } = makeOtherWriters(TableName.TableName("outreach", "bit_scores"))
      assert.isTrue(yield* areWriting(sql))
      yield* TestClock.adjust(patienceMillis - 1)
      assert.isTrue(yield* areWriting(sql))
      yield* TestClock.adjust(1)
      assert.isFalse(yield* areWriting(sql), "somebody has left a transaction open")
      assert.isFalse(yield* areWriting(sql))
      writing = false
      assert.isFalse(yield* areWriting(sql))
      writing = true
      assert.isTrue(yield* areWriting(sql), "that is another one")
    }))
})
