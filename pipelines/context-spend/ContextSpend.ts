import { Schema } from "effect"
import { formatScaled, parseScaled } from "../../src/domain/Decimal.ts"
import * as RowKey from "../../src/domain/RowKey.ts"
import { TableName } from "../../src/domain/TableName.ts"
import { badInput, entries, type Group, type Pipeline } from "../../src/materialize/Pipeline.ts"

/** Decimals of a credit that are kept; a row's further ones are rounded, half away from zero. */
const creditScale = 6

const attempts = entries({
  table: TableName("outreach_ctx", "spend_log"),
  row: Schema.Struct({
    outreach_context_id: Schema.NullOr(Schema.String),
    tool_name: Schema.NullOr(Schema.String),
    cost_credits: Schema.NullOr(Schema.String)
  }),
  entry: (row) => {
    if (row.outreach_context_id === null) return null
    const credits = parseScaled(row.cost_credits ?? "0", creditScale)
    if (credits === undefined) return badInput("credits-not-finite", "cost_credits is not a finite number")
    return { value: { context: row.outreach_context_id, tool: row.tool_name ?? "unknown", credits: String(credits) } }
  },
  contribute: ({ context, credits, tool }) => [{
    group: "spend",
    key: RowKey.of([context, tool]),
    sums: { attempts: 1n, credits: BigInt(credits) }
  }]
})

const spend: Group = {
  target: {
    table: TableName("reporting", "context_spend"),
    isOurs: true,
    key: { outreach_context_id: "text", tool_name: "text" },
    columns: { credits: "numeric", attempts: "integer" },
    stamps: { updated_at: { type: "timestamptz", value: "written" } },
    insert: true
  },
  render: (state) => ({
    backed: state.sum("attempts") > 0n,
    columns: { credits: formatScaled(state.sum("credits"), creditScale), attempts: Number(state.sum("attempts")) }
  })
}

/** `outreach_ctx.spend_log` → `reporting.context_spend`: what each outreach context has spent with each tool. */
export const contextSpend = (settings: unknown): Pipeline => ({
  name: "context-spend",
  version: 1,
  settings,
  sources: [attempts],
  groups: { spend }
})
