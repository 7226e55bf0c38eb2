import type { Pipeline } from "../src/materialize/Pipeline.ts"
import { bitScores } from "./bit-scores/BitScores.ts"
import { campaignTotals } from "./campaign-totals/CampaignTotals.ts"
import { contextSpend } from "./context-spend/ContextSpend.ts"
import { legacyMirrors } from "./legacy-mirrors/LegacyMirrors.ts"

/** Every pipeline by its name: its settings (from the configuration, not yet validated) → its definition. Throws if they are wrong. */
export const catalogue: Readonly<Record<string, (settings: unknown) => Pipeline>> = {
  "bit-scores": bitScores,
  "campaign-totals": campaignTotals,
  "context-spend": contextSpend,
  "legacy-mirrors": legacyMirrors
}
