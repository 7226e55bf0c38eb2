import { Schema } from "effect"
import { Tiers } from "../Tiers.ts"

export const components = ["people", "dol", "blog", "talent_flow"] as const

/** `pipelines.settings.bit-scores` of the configuration. */
export const Settings = Schema.Struct({
  floor: Schema.Finite,
  ceiling: Schema.Finite,
  tiers: Tiers,
  /** The spellings of `source_spoke` that count in each component; any other counts in the total only. */
  components: Schema.Struct({
    people: Schema.Array(Schema.String),
    dol: Schema.Array(Schema.String),
    blog: Schema.Array(Schema.String),
    talent_flow: Schema.Array(Schema.String)
  })
})
export type Settings = typeof Settings.Type

export const componentsBySpoke = (rules: Settings): ReadonlyMap<string, string> =>
  new Map(components.flatMap((component) => rules.components[component].map((spoke) => [spoke, component] as const)))
