import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as NodeServices from "@effect/platform-node/NodeServices"
import { Effect, Layer } from "effect"
import { CliConfig, Command, GlobalFlag } from "effect/cli"
import packageJson from "../package.json" with { type: "json" }
import { cdc } from "./cli/Cdc.ts"
import { endingOf } from "./cli/ExitCode.ts"
import * as Presenter from "./cli/Presenter.ts"
import * as Log from "./observability/Log.ts"

// Ctrl-C and SIGTERM stop everything in order; whoever asks twice does not want to wait. A closed terminal is a SIGTERM.
let asked = 0
const askedToStop = (signal: NodeJS.Signals): void => {
  if (++asked > 1) process.exit(signal === "SIGINT" ? 130 : 143) // 128 + the signal's number, as shells say it
  if (signal === "SIGINT") process.stderr.write("\nStopping; Ctrl-C again stops at once.\n")
}
process.on("SIGINT", askedToStop)
process.on("SIGTERM", askedToStop)
process.once("SIGHUP", () => process.kill(process.pid, "SIGTERM"))

Command.run(cdc, { version: packageJson.version }).pipe(
  Effect.provide(Layer.mergeAll(
    NodeServices.layer,
    Presenter.layer,
    Log.layerOf({ level: "info", format: "auto" }), // until the configuration is read
    CliConfig.layer({ builtIns: [GlobalFlag.Help, GlobalFlag.Version, GlobalFlag.Completions] })
  )),
  NodeRuntime.runMain({
    disableErrorReporting: true,
    teardown: (exit, onExit) => {
      const { code, message } = endingOf(exit)
      if (message !== null) process.stderr.write(`${message}\n`)
      process.exitCode = code
      onExit(code)
    }
  })
)
