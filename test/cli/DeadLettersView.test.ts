import { assert, describe, it } from "vitest"
import { renderRetry } from "../../src/cli/DeadLettersView.ts"

const nothing = { applied: 0, closed: 0, stillBad: [], missing: 0 }

describe("what a retry came to", () => {
  it("is said also where there was nothing to retry", () => {
    assert.strictEqual(renderRetry(nothing), "nothing to retry: none of its dead letters is open and matches")
  })

  it("is counted, with what to do about letters that Kafka has not kept", () => {
    assert.strictEqual(renderRetry({ ...nothing, applied: 2, missing: 1 }), "2 applied\n1 still open and no longer kept by Kafka: `cdc snapshot TABLE` reads their rows again")
  })
})
