import { Schema } from "effect"
import * as Instant from "../../src/domain/Instant.ts"
import type { AnnouncedChange, Announcement, Columns } from "../../src/materialize/Pipeline.ts"

/** `hub.events.bit-score-tier-changed`: a score has left its tier. */

const Stood = Schema.Struct({
  tier: Schema.Literals(["COLD", "WARM", "HOT", "BURNING"]).annotate({ description: "Of the stored score." }),
  score: Schema.Finite.annotate({ description: "Points with two decimals." })
})

/** What an event's `data` is. The JSON Schema in docs/schemas is made of it; an incompatible change needs another `dataschema`. */
export const TierChanged = Schema.Struct({
  outreach_id: Schema.String,
  before: Schema.NullOr(Stood).annotate({ description: "As last announced; null: the first that is announced of this outreach." }),
  after: Stood,
  cause: Schema.Struct({
    type: Schema.Literals(["signal", "decay", "replay"]).annotate({
      description: "A signal came, changed or went; time alone; or the score was computed anew (other settings, a replay), or what led here is not known (after a gap)."
    }),
    correlation_ids: Schema.Array(Schema.String).annotate({ description: "Of the signals that changed it, 1000 at the most; none of decay and replay." })
  }),
  effective_at: Schema.String.annotate({
    description: "ISO 8601 in UTC, to the microsecond. Of decay the instant at which the tier was crossed; otherwise when the score was computed."
  })
}).annotate({ identifier: "TierChanged", title: "A BIT score has changed its tier" })
export type TierChanged = typeof TierChanged.Type

export const topic = "bit-score-tier-changed"
export const dataschema = "urn:hub:schema:bit-score-tier-changed:1"

export const announceTier: Announcement = {
  topic,
  column: "score_tier",
  beside: ["score"],
  event: (change) => {
    if (change.before === null && change.after["score_tier"] === "COLD") return null
    const data = dataOf(change)
    return { type: "hub.bit-score.tier-changed", subject: change.key, time: data.effective_at, dataschema, data }
  }
}

const dataOf = ({ after, at, before, cause, correlations, key }: AnnouncedChange): TierChanged => ({
  outreach_id: key,
  before: before === null ? null : stood(before),
  after: stood(after),
  cause: { type: causes[cause], correlation_ids: correlations },
  effective_at: Instant.toIso(at)
})

const causes = { change: "signal", time: "decay", rescored: "replay" } as const

const stood = (columns: Columns): TierChanged["after"] => ({
  tier: columns["score_tier"] as TierChanged["after"]["tier"],
  score: Number(columns["score"])
})
