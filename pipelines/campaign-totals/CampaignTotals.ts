import { Schema } from "effect"
import { TableName } from "../../src/domain/TableName.ts"
import { entries, type Group, type Pipeline, trigger } from "../../src/materialize/Pipeline.ts"
import { Uuid } from "../Uuid.ts"

/** `outreach.send_log` → the five totals of `outreach.campaigns`, at the same cost per send whatever the campaign's size. */
export const campaignTotals = (settings: unknown): Pipeline => ({
  name: "campaign-totals",
  version: 1,
  settings,
  sources: [sends, trigger({ table: TableName("outreach", "campaigns"), group: "campaign", on: "appear" })],
  groups: { campaign: totals }
})

const Instant = Schema.NullOr(Schema.String)

const sends = entries({
  table: TableName("outreach", "send_log"),
  row: Schema.Struct({
    campaign_id: Schema.NullOr(Uuid),
    person_id: Schema.NullOr(Schema.String),
    email_to: Schema.String,
    sent_at: Instant,
    opened_at: Instant,
    clicked_at: Instant,
    replied_at: Instant
  }),
  entry: (row) =>
    row.campaign_id === null ? null : {
      value: {
        campaign: row.campaign_id,
        recipient: row.person_id ?? asciiLowerCase(row.email_to),
        sent: row.sent_at === null ? 0 : 1,
        opened: row.opened_at === null ? 0 : 1,
        clicked: row.clicked_at === null ? 0 : 1,
        replied: row.replied_at === null ? 0 : 1
      }
    },
  contribute: (send) => [{
    group: "campaign",
    key: send.campaign,
    sums: { sends: 1n, sent: BigInt(send.sent), opened: BigInt(send.opened), clicked: BigInt(send.clicked), replied: BigInt(send.replied) },
    bags: { recipients: send.recipient }
  }]
})

const totals: Group = {
  target: {
    table: TableName("outreach", "campaigns"),
    key: { campaign_id: "uuid" },
    columns: { total_targeted: "integer", total_sent: "integer", total_opened: "integer", total_clicked: "integer", total_replied: "integer" },
    stamps: { updated_at: { type: "timestamptz", value: "written" } },
    insert: false
  },
  render: (state) => ({
    backed: state.sum("sends") > 0n,
    columns: {
      total_targeted: state.bag("recipients").distinct,
      total_sent: Number(state.sum("sent")),
      total_opened: Number(state.sum("opened")),
      total_clicked: Number(state.sum("clicked")),
      total_replied: Number(state.sum("replied"))
    }
  })
}

/** As `lower(email_to collate "C")`: other letters stay, whatever the machine's locale. */
const asciiLowerCase = (text: string): string => text.replace(/[A-Z]+/g, (letters) => letters.toLowerCase())
