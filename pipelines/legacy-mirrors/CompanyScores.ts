import { divideRounded } from "../../src/domain/Decimal.ts"
import * as Instant from "../../src/domain/Instant.ts"
import { TableName } from "../../src/domain/TableName.ts"
import type { Group } from "../../src/materialize/Pipeline.ts"
import type { Settings } from "./Settings.ts"
import { maxInteger, readScore, scoreScale } from "./Sources.ts"

/** `bit.bit_company_score`: counts and channels over the company's mirrored rows, score and tier of its highest outreach. */
export const companyScores = (_rules: Settings): Group => ({
  target: {
    table: TableName("bit", "bit_company_score"),
    key: { company_unique_id: "text" },
    columns: {
      score: "integer",
      signal_count: "integer",
      last_signal_at: "timestamp",
      email_score: "integer",
      linkedin_score: "integer",
      website_score: "integer",
      score_tier: "text"
    },
    stamps: { last_updated: { type: "timestamp", value: "written" } },
    insert: true
  },
  render: (state) => {
    const highest = state.bag("score").max
    const { scaled, tier } = highest === null ? { scaled: 0n, tier: "COLD" } : readScore(highest)
    const last = state.bag("at").max
    return {
      backed: state.sum("signals") > 0n,
      columns: {
        score: toInteger(divideRounded(scaled, 10n ** BigInt(scoreScale))),
        signal_count: Number(state.sum("signals")),
        last_signal_at: last === null ? null : Instant.toSql(Instant.ofSortable(last)),
        email_score: toInteger(state.sum("email")),
        linkedin_score: toInteger(state.sum("linkedin")),
        website_score: toInteger(state.sum("website")),
        score_tier: tier
      }
    }
  }
})

/** The columns are Postgres' `integer`: a sum beyond stops at its end, rather than failing every batch that it is in. */
const toInteger = (value: bigint): number => Number(value > maxInteger ? maxInteger : value < -maxInteger ? -maxInteger : value)
