import { Schema } from "effect"

/** From which score on a tier holds; below the lowest it is COLD. */
export const Tiers = Schema.Struct({ WARM: Schema.Finite, HOT: Schema.Finite, BURNING: Schema.Finite })
export type Tiers = typeof Tiers.Type

/** The tier of a score as stored, in hundredths (the rounded one: a falling score leaves WARM at 24.995). */
export const tierOf = (tiers: Tiers, hundredths: bigint): "COLD" | "WARM" | "HOT" | "BURNING" => {
  const score = Number(hundredths) / 100
  if (score >= tiers.BURNING) return "BURNING"
  if (score >= tiers.HOT) return "HOT"
  return score >= tiers.WARM ? "WARM" : "COLD"
}
