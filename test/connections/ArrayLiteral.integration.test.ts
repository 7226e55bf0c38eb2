import fc from "fast-check"
import pg from "pg"
import { afterAll, beforeAll, describe, expect, inject, it } from "vitest"
import { arrayLiteral } from "../../src/connections/ArrayLiteral.ts"

describe("an array literal", () => {
  const client = new pg.Client({ connectionString: inject("databaseUrl") })
  beforeAll(() => client.connect())
  afterAll(() => client.end())

  const asRead = async (values: ReadonlyArray<unknown>, type: string) => {
    const { rows } = await client.query<{ value: string | null }>(`select u::text as value from unnest($1::${type}[]) with ordinality as w(u, n) order by n`, [
      arrayLiteral(values)
    ])
    return rows.map(({ value }) => value)
  }

  it("holds any texts that Postgres can, JSON among them", () =>
    fc.assert(
      fc.asyncProperty(fc.array(fc.option(fc.oneof(awkward, fc.string({ unit: "binary" }), fc.json())), { maxLength: 20 }), async (values) => {
        const storable = values.map((value) => value?.replaceAll("\0", "") ?? null)
        expect(await asRead(storable, "text")).toEqual(storable)
      }),
      { numRuns: 200 }
    ))

  it("holds whole numbers and booleans", async () => {
    expect(await asRead([2n ** 63n - 1n, -1, null, undefined], "bigint")).toEqual(["9223372036854775807", "-1", null, null])
    expect(await asRead([true, false], "boolean")).toEqual(["true", "false"])
    expect(await asRead([], "text")).toEqual([])
  })

  it("leaves to the driver what it does not know", () => {
    expect(arrayLiteral([new Date(0)])).toBeUndefined()
    expect(arrayLiteral([Buffer.from("a")])).toBeUndefined()
    expect(arrayLiteral([["a"]])).toBeUndefined()
  })
})

const awkward = fc.array(fc.constantFrom(`"`, "\\", "{", "}", ",", " ", "NULL", "\n", "\u0001", "\\u0001", "😀", "é")).map((parts) => parts.join(""))
