import { TableName } from "../../src/domain/TableName.ts"
import type { Group } from "../../src/materialize/Pipeline.ts"
import { tierOf } from "../Tiers.ts"
import type { Settings } from "./Settings.ts"

/** `bit.bit_contact_score`: what a person did, counted and weighed. */
export const contactScores = (rules: Settings): Group => ({
  target: {
    table: TableName("bit", "bit_contact_score"),
    key: { contact_unique_id: "text" },
    columns: {
      score: "integer",
      signal_count: "integer",
      email_opens: "integer",
      email_clicks: "integer",
      linkedin_views: "integer",
      replies: "integer",
      engagement_tier: "text"
    },
    stamps: { last_updated: { type: "timestamp", value: "written" } },
    insert: true
  },
  render: (state) => {
    const score = clamp(Number(state.sum("weight")))
    const count = (type: string) => Number(state.sum(`type:${type}`))
    return {
      backed: state.sum("signals") > 0n,
      columns: {
        score,
        signal_count: Number(state.sum("signals")),
        email_opens: count("email_open"),
        email_clicks: count("email_click"),
        linkedin_views: count("linkedin_view"),
        replies: count("email_reply"),
        engagement_tier: tierOf(rules.tiers, BigInt(score) * 100n)
      }
    }
  }
})

const clamp = (score: number): number => Math.min(100, Math.max(0, score))
