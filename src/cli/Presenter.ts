import { Console } from "effect"
import { CliOutput } from "effect/cli"

/** A wrong command gets one line on stderr, and where the help is; not the whole help, and nothing on stdout. */
export const layer = CliOutput.layerPresenter({
  present: (event) => {
    if (event._tag !== "InvalidInvocation") return CliOutput.defaultPresenter.present(event)
    const wrong = event.errors.map((error) => error.message).join("; ")
    return Console.error(`${wrong}. See ${event.commandPath.join(" ")} --help`)
  }
})
