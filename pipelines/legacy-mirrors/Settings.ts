import { Schema } from "effect"
import { Tiers } from "../Tiers.ts"

export const Settings = Schema.Struct({
  tiers: Tiers,
  /** The strength of an engagement event, by its type; a type that is not listed weighs 0. */
  weights: Schema.Record(Schema.String, Schema.Int),
  /** The types of signals and events that count for a company's channel. */
  channels: Schema.Struct({
    email: Schema.Array(Schema.String),
    linkedin: Schema.Array(Schema.String),
    website: Schema.Array(Schema.String)
  })
})
export type Settings = typeof Settings.Type

/** A type may have any name, `constructor` too. */
export const weightOf = ({ weights }: Settings, type: string): number => Object.hasOwn(weights, type) ? weights[type]! : 0

/** The channel that a type belongs to, if any. */
export const channelOf = (rules: Settings, type: string): "email" | "linkedin" | "website" | undefined => {
  if (rules.channels.email.includes(type)) return "email"
  if (rules.channels.linkedin.includes(type)) return "linkedin"
  return rules.channels.website.includes(type) ? "website" : undefined
}
