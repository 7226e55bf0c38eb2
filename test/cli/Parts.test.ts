import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as Parts from "../../src/cli/Parts.ts"
import { AppConfig } from "../../src/Config.ts"

const partsOf = (types: Readonly<Record<string, unknown>>) =>
  Parts.pipelines(["bit-scores"]).pipe(Effect.provide(AppConfig.layerOf({
    source: { databaseUrl: "postgres://u@localhost/d" }, kafka: { brokers: "localhost:9092" }, types
  })))

describe("the pipelines", () => {
  it.effect("start where decimals and placeholders are as they know them", () =>
    Effect.gen(function*() {
      const parts = yield* partsOf({ timePrecisionMode: "isostring", binaryHandlingMode: "hex", hstoreHandlingMode: "map" })
      assert.strictEqual(parts.length, 1)
    }))

  it.effect.each([{ decimalHandlingMode: "precise" }, { decimalHandlingMode: "double" }, { unavailableValuePlaceholder: "gone" }])(
    "do not start on %j, which they would misread", (types) =>
      Effect.gen(function*() {
        const error = yield* Effect.flip(partsOf(types))
        assert.strictEqual(error._tag, "ConfigurationError")
        assert.include(error.message, `types.${Object.keys(types)[0]!}`)
        assert.include(error.message, "`cdc capture` alone")
      }))
})
