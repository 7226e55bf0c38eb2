import { Schema } from "effect"
import { TableName } from "../../src/domain/TableName.ts"
import { links, type Pipeline } from "../../src/materialize/Pipeline.ts"
import { companyScores } from "./CompanyScores.ts"
import { contactScores } from "./ContactScores.ts"
import { Settings } from "./Settings.ts"
import { bitScoreRows, engagementEvents, mirroredColumns, signals } from "./Sources.ts"

/** The older `bit.*` tables, for consumers that still read them: one row per signal and event, and scores by company and contact. */
export const legacyMirrors = (settings: unknown): Pipeline => {
  const rules = Schema.decodeUnknownSync(Settings)(settings)
  return {
    name: "legacy-mirrors",
    version: 1,
    settings: rules,
    sources: [
      signals(rules),
      engagementEvents(rules),
      bitScoreRows,
      links({
        table: TableName("outreach", "outreach"),
        row: Schema.Struct({ sovereign_id: Schema.String }),
        link: (outreach) => outreach.sovereign_id
      })
    ],
    groups: { company: companyScores(rules), contact: contactScores(rules) },
    mirror: {
      target: {
        table: TableName("bit", "bit_signal"),
        key: { signal_id: "integer" },
        columns: mirroredColumns,
        insert: true
      }
    }
  }
}
