import { Option } from "effect"
import { Flag, GlobalFlag } from "effect/cli"

/** `--config FILE`, understood by every verb, before or after it. */
export const ConfigFile = GlobalFlag.Setting("config")({
  flag: Flag.String("config").pipe(
    Flag.withDescription("YAML file over config/default.yaml; the environment overrides both"),
    Flag.withMetavar("FILE"),
    Flag.optional,
    Flag.map(Option.getOrUndefined)
  )
})
