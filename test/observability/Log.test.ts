import { Effect } from "effect"
import { assert, describe, it } from "vitest"
import { PostgresError } from "../../src/connections/PostgresError.ts"
import * as Log from "../../src/observability/Log.ts"
import { prettyLine } from "../../src/observability/PrettyLine.ts"

const linesOf = (level: Log.LogSettings["level"], effect: Effect.Effect<unknown>) => {
  const lines: Array<string> = []
  Effect.runSync(effect.pipe(Effect.provide(Log.layerOf({ level, format: "json" }, { write: (line) => void lines.push(line) }))))
  return lines.map((line) => JSON.parse(line))
}

describe("logs", () => {
  it("are pino's lines: number, time, message, annotations and fields", () => {
    const [line] = linesOf("info", Effect.logInfo("published", { topic: "hub.a.b", lsn: 2n ** 63n }).pipe(Effect.annotateLogs({ slot: "s" })))
    assert.deepInclude(line, { level: 30, msg: "published", topic: "hub.a.b", slot: "s", pid: process.pid })
    assert.isNumber(line.time)
  })

  it("have a failure under err: without a stack where the failure was foreseen, with one where not", () => {
    const expected = new PostgresError({ reason: "unreachable", code: "08006", message: "gone" })
    const [foreseen, asField, bug] = linesOf("info", Effect.all([
      Effect.fail(expected).pipe(Effect.catchCause((cause) => Effect.logError("reading", cause))),
      Effect.logWarning("again", expected),
      Effect.die(new TypeError("oops")).pipe(Effect.catchCause((cause) => Effect.logError("reading", cause)))
    ]))
    assert.deepInclude(foreseen, { level: 50, msg: "reading", err: { type: "PostgresError", message: "gone" } })
    assert.deepInclude(asField, { level: 40, msg: "again", err: { type: "PostgresError", message: "gone" } })
    assert.strictEqual(bug.err.type, "TypeError")
    assert.include(bug.err.stack, "Log.test.ts")
  })

  it("keep to the level", () => {
    const all = Effect.all([Effect.logTrace("t"), Effect.logDebug("d"), Effect.logInfo("i"), Effect.logWarning("w"), Effect.logError("e")])
    assert.deepStrictEqual(linesOf("warn", all).map((line) => line.msg), ["w", "e"])
    assert.deepStrictEqual(linesOf("trace", all).map((line) => line.level), [10, 20, 30, 40, 50])
  })

  it("are short for a person, and can't steer the terminal", () => {
    const line = JSON.stringify({ level: 40, time: 43_384_000, pid: 1, hostname: "h", msg: "odd \u001B[2J name", topic: "hub.a", note: "two words", err: { message: "gone" } })
    assert.strictEqual(prettyLine(line, false), `12:03:04 WARN  odd �[2J name topic=hub.a note="two words" gone\n`)
  })
})
