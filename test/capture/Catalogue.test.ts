import { Effect } from "effect"
import { describe, expect, it } from "vitest"
import * as Catalogue from "../../src/capture/Catalogue.ts"
import type { WalRelation } from "../../src/capture/WalMessage.ts"
import type { Sql } from "../../src/connections/Postgres.ts"

const message = (replicaIdentity: "d" | "f", ...identity: ReadonlyArray<string>): WalRelation => ({
  _tag: "Relation", oid: 1, schema: "public", table: "t", replicaIdentity,
  columns: ["a", "b"].map((name) => ({ name, typeOid: 900, typeModifier: -1, partOfIdentity: identity.includes(name) }))
})

/** A server whose catalogue shows the type and the key from the `visibleAt`th look on; until then their transaction runs. */
const server = (options: { readonly visibleAt: number; readonly key?: ReadonlyArray<string> }) => {
  let looks = 0
  const answer = (doing: string): ReadonlyArray<object> => {
    if (doing === "Reading column types") return ++looks < options.visibleAt ? [] : [{ oid: 900, typname: "mood", typtype: "e", base: 0, modifier: -1, element: 0 }]
    if (doing.startsWith("Looking whether")) return [{ running: looks < options.visibleAt }]
    return options.key === undefined || looks < options.visibleAt ? [] : [{ is_primary: true, columns: options.key }]
  }
  return { query: (doing: string) => Effect.succeed(answer(doing)) } as unknown as Sql
}

describe("what the catalogue adds to a relation", () => {
  it("waits for a type and a key that the transaction under way has made, and that nobody sees yet", async () => {
    const relation = await Effect.runPromise(Catalogue.make(server({ visibleAt: 3, key: ["b", "a"] })).resolve(message("d", "a", "b"), 77))
    expect(relation.columns.map(({ type }) => type.kind)).toEqual(["enum", "enum"])
    expect(relation.key).toEqual([1, 0])
  })

  it("of a table that is gone keeps the order of the key that is remembered, where by the message that can be the key", async () => {
    const gone = server({ visibleAt: Infinity })
    const keyOf = (relation: WalRelation) => Effect.runPromise(Effect.map(Catalogue.make(gone, () => ["b", "a"]).resolve(relation), ({ key }) => key))
    expect(await keyOf(message("d", "a", "b"))).toEqual([1, 0])
    expect(await keyOf(message("d", "a"))).toEqual([0])
    expect(await keyOf(message("f", "a", "b"))).toEqual([1, 0])
  })

  it("gives the same object for the same description, so that nothing compiled from it is lost", async () => {
    const catalogue = Catalogue.make(server({ visibleAt: 1, key: ["a"] }))
    const first = await Effect.runPromise(catalogue.resolve(message("d", "a")))
    expect(await Effect.runPromise(catalogue.resolve(message("d", "a")))).toBe(first)
  })
})
