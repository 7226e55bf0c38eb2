import { Cause, Exit } from "effect"
import { CliError } from "effect/cli"
import { assert, describe, it } from "vitest"
import { CaptureError } from "../../src/capture/CaptureError.ts"
import { endingOf, Findings } from "../../src/cli/ExitCode.ts"
import { ConfigurationError } from "../../src/Config.ts"
import { KafkaError } from "../../src/connections/KafkaError.ts"
import { PostgresError } from "../../src/connections/PostgresError.ts"
import { ConsumeError } from "../../src/consume/ConsumeError.ts"
import { EmbeddedServerError } from "../../src/embedded/EmbeddedServerError.ts"
import { PipelineError } from "../../src/materialize/PipelineError.ts"
import { PublishError } from "../../src/publish/PublishError.ts"
import { HttpApiError } from "../../src/run/HttpApi.ts"

const message = "what, why, and what to do"

describe("the ending of a process", () => {
  for (const [error, code] of [
    [new ConfigurationError({ message }), 2],
    [new PostgresError({ reason: "unreachable", code: "08006", message }), 3],
    [new KafkaError({ reason: "forbidden", message }), 3],
    [new KafkaError({ reason: "mismatch", message }), 4],
    [new CaptureError({ reason: "notSetUp", message }), 3],
    [new CaptureError({ reason: "unsuitable", message }), 3],
    [new CaptureError({ reason: "gap", message }), 4],
    [new CaptureError({ reason: "undecodable", message }), 4],
    [new PublishError({ reason: "topicMissing", message }), 3],
    [new PublishError({ reason: "partitionsChanged", message }), 4],
    [new ConsumeError({ reason: "missingTopic", message }), 3],
    [new ConsumeError({ reason: "gap", message }), 4],
    [new PipelineError({ reason: "notSetUp", pipeline: "p", message }), 3],
    [new PipelineError({ reason: "misconfigured", pipeline: "p", message }), 2],
    [new PipelineError({ reason: "needsReplay", pipeline: "p", message }), 4],
    [new EmbeddedServerError({ reason: "toolMissing", message }), 3],
    [new HttpApiError({ reason: "portInUse", message }), 3]
  ] as const) {
    it(`${error._tag} ${"reason" in error ? error.reason : ""} → ${code}, with its message alone`, () => {
      assert.deepStrictEqual(endingOf(Exit.fail(error)), { code, message })
    })
  }

  it("findings → 1, and they are printed already", () => {
    assert.deepStrictEqual(endingOf(Exit.fail(new Findings({ message }))), { code: 1, message: null })
  })

  it("success → 0, being stopped in order → what the signal says", () => {
    assert.deepStrictEqual(endingOf(Exit.succeed(1), 130), { code: 0, message: null })
    assert.deepStrictEqual(endingOf(Exit.interrupt(1), 130), { code: 130, message: null })
    assert.deepStrictEqual(endingOf(Exit.interrupt(1)), { code: 0, message: null })
  })

  it("help → 0, a wrong command → 2", () => {
    const help = (errors: ReadonlyArray<CliError.NonShowHelpErrors>) => Exit.fail(new CliError.ShowHelp({ commandPath: ["cdc"], errors: [...errors] }))
    assert.strictEqual(endingOf(help([])).code, 0)
    assert.strictEqual(endingOf(help([new CliError.MissingArgument({ argument: "name" })])).code, 2)
  })

  it("a failure beside an interruption is the failure", () => {
    const cause = Cause.combine(Cause.interrupt(1), Cause.fail(new ConfigurationError({ message })))
    assert.deepStrictEqual(endingOf(Exit.failCause(cause)), { code: 2, message })
  })

  it("a defect, or an error that nobody listed → 70, with what to report", () => {
    for (const exit of [Exit.die(new TypeError("oops")), Exit.fail(new TypeError("oops"))]) {
      const { code, message } = endingOf(exit)
      assert.strictEqual(code, 70)
      assert.match(message!, /^This is a bug in cdc\. Please report it[^]*TypeError: oops\n +at /)
    }
  })
})
