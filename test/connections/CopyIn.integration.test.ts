import { assert, beforeAll, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import fc from "fast-check"
import pg from "pg"
import { afterAll, expect, inject } from "vitest"
import type { CopyRow } from "../../src/connections/CopyIn.ts"
import { sqlOn } from "../../src/connections/Postgres.ts"

describe("a copy", () => {
  const client = new pg.Client({ connectionString: inject("databaseUrl") })
  beforeAll(async () => {
    await client.connect()
    await client.query("create temp table rows (n bigint primary key, t text)")
  })
  afterAll(() => client.end())

  const copied = (rows: ReadonlyArray<CopyRow>) => Effect.runPromise(Effect.result(sqlOn(client).copy("Copying", "copy rows (n, t) from stdin", rows)))
  const stored = async () => (await client.query<{ n: string; t: string | null }>("select n, t from rows order by n")).rows.map(({ n, t }) => [BigInt(n), t])

  it("holds any texts that Postgres can, JSON among them", () =>
    fc.assert(
      fc.asyncProperty(fc.array(fc.option(fc.oneof(awkward, fc.string({ unit: "binary" }), fc.json())), { maxLength: 20 }), async (texts) => {
        const rows = texts.map((text, n) => [BigInt(n), text?.replaceAll("\0", "") ?? null] as const)
        await client.query("truncate rows")
        await copied(rows)
        expect(await stored()).toEqual(rows)
      }),
      { numRuns: 200 }
    ))

  it("holds whole numbers, and more than one message's worth of rows", async () => {
    await client.query("truncate rows")
    const rows = Array.from({ length: 50_000 }, (_, n) => [n % 2 === 0 ? n : BigInt(n), "x".repeat(50)] as const)
    await copied([...rows, [2n ** 63n - 1n, null]])
    assert.lengthOf(await stored(), 50_001)
  })

  it.each([
    ["a row that is there already", "copy rows (n, t) from stdin", "23505"],
    ["a table that is not there", "copy nowhere (n, t) from stdin", "42P01"]
  ])("fails for %s, and the connection goes on", async (_, statement, code) => {
    await client.query("truncate rows")
    await copied([[1, "a"]])
    const rows = Array.from({ length: 50_000 }, (_, n) => [n, "b"] as const)
    const failure = await Effect.runPromise(Effect.flip(sqlOn(client).copy("Copying", statement, rows)))
    assert.strictEqual(failure.code, code)
    assert.match(failure.message, /^Copying: /)
    assert.notInclude(failure.message, "nowhere (n") // no statement
    expect(await stored()).toEqual([[1n, "a"]])
  })

  it("works on any connection of a pool", async () => {
    const pool = new pg.Pool({ connectionString: inject("databaseUrl"), max: 1 })
    await pool.query("create temp table rows (n bigint)")
    await Effect.runPromise(sqlOn(pool).copy("Copying", "copy rows (n) from stdin", [[7]]))
    expect((await pool.query("select n from rows")).rows).toEqual([{ n: "7" }])
    await pool.end()
  })
})

const awkward = fc.array(fc.constantFrom("\\", "\\N", "\\.", "\t", "\n", "\r", "\b", "\u000b", ",", `"`, "😀", "é")).map((parts) => parts.join(""))
