import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as NodeServices from "@effect/platform-node/NodeServices"
import { Effect, Layer } from "effect"
import { CliConfig, Command, GlobalFlag } from "effect/cli"
import packageJson from "../../package.json" with { type: "json" }
import * as Log from "../observability/Log.ts"
import { cdc } from "./Cdc.ts"
import { endingOf } from "./ExitCode.ts"
import * as Presenter from "./Presenter.ts"
import * as StopSignals from "./StopSignals.ts"

/** `cdc` with the arguments of this process. */
export const program = Command.run(cdc, { version: packageJson.version }).pipe(
  Effect.provide(Layer.mergeAll(
    NodeServices.layer,
    Presenter.layer,
    Log.layerOf({ level: "info", format: "auto" }), // until the configuration is read
    CliConfig.layer({ builtIns: [GlobalFlag.Help, GlobalFlag.Version, GlobalFlag.Completions] })
  ))
)

/** Makes it this process: with signals that stop it in order, a message for people where it fails, and the exit code that is documented. */
export const launch = (main: typeof program): void => {
  StopSignals.listen()
  NodeRuntime.runMain(main, {
    disableErrorReporting: true,
    teardown: (exit, onExit) => {
      const { code, message } = endingOf(exit, StopSignals.stoppedCode())
      if (message !== null) process.stderr.write(`${message}\n`)
      process.exitCode = code
      onExit(code)
    }
  })
}
