import * as NodeServices from "@effect/platform-node/NodeServices"
import { Effect, Layer } from "effect"
import { CliOutput, Command } from "effect/cli"
import { assert, describe, it } from "vitest"
import { cdc } from "../../src/cli/Cdc.ts"

const helpOf = async (verb: string) => {
  let help: Parameters<CliOutput.Formatter["formatHelpDoc"]>[0] | undefined
  const presenter = CliOutput.layerPresenter({
    present: (event) => Effect.sync(() => help = event._tag === "Help" ? event.helpDoc : undefined)
  })
  await Effect.runPromise(Command.runWith(cdc, { version: "0" })([verb, "--help"]).pipe(
    Effect.provide(Layer.merge(presenter, NodeServices.layer))))
  return help!
}

describe("the help of every verb", () => {
  for (const verb of ["start", "setup", "validate", "run", "capture", "pipeline", "snapshot", "status", "explain", "verify", "teardown"]) {
    it(`${verb}: says what it does, shows examples, knows --config`, async () => {
      const help = await helpOf(verb)
      assert.match(help.usage, new RegExp(`^cdc ${verb}\\b`))
      assert.isAbove(help.description.length, 40)
      assert.isTrue(help.examples!.some(({ command }) => command.includes(`cdc ${verb}`)))
      assert.isTrue(help.globalFlags!.some(({ name }) => name === "config"))
      for (const { description } of help.flags) assert.isAbove(String(description).length, 0)
    })
  }
})
