import { assert, describe, it } from "@effect/vitest"
import { seeded } from "../../../src/embedded/hub/Random.ts"

const uuidV4 = /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/

const draw = (...parts: Array<string | number>) => Array.from({ length: 5 }, seeded(...parts).uint32)

describe("Random", () => {
  it("gives the same for the same parts, and something else for others", () => {
    assert.deepStrictEqual(draw(1, "send", 7), draw(1, "send", 7))
    assert.notDeepEqual(draw(1, "send", 7), draw(1, "send", 8))
    assert.notDeepEqual(draw(1, "send", 7), draw(2, "send", 7))
  })

  it("makes version 4 uuids, no two alike", () => {
    const uuids = Array.from({ length: 20_000 }, (_, n) => seeded(1, "person-id", n).uuid())
    for (const uuid of uuids) assert.match(uuid, uuidV4)
    assert.strictEqual(new Set(uuids).size, uuids.length)
  })

  it("stays within bounds, reaches both ends, and is even", () => {
    const random = seeded("bounds")
    const counts = [0, 0, 0, 0]
    for (let i = 0; i < 40_000; i++) counts[random.between(2, 5) - 2]!++
    for (const count of counts) assert.isTrue(count > 9_500 && count < 10_500, String(counts))
  })
})
