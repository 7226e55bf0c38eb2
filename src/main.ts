import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as NodeServices from "@effect/platform-node/NodeServices"
import { Effect, Layer } from "effect"
import { CliConfig, Command, GlobalFlag } from "effect/cli"
import packageJson from "../package.json" with { type: "json" }
import { cdc } from "./cli/Cdc.ts"
import { endingOf } from "./cli/ExitCode.ts"
import * as Presenter from "./cli/Presenter.ts"
import * as StopSignals from "./cli/StopSignals.ts"
import * as Log from "./observability/Log.ts"

StopSignals.listen()

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
