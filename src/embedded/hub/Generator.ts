import { TableName } from "../../domain/TableName.ts"
import * as Old from "./OldRows.ts"
import { generate, type Row, type Sample, SampleRows, sizesFor } from "./SampleRows.ts"

/** Rows of one table, all with the same columns; a table may come twice. */
export interface TableRows {
  readonly table: TableName
  readonly rows: Iterable<Row>
}

/**
 * The sample's tables in the order that their foreign keys ask for. Each row is made from the seed, its table and its
 * number alone, so that nothing is kept in memory, and any row can name any other.
 */
export const tablesOf = (sample: Sample): ReadonlyArray<TableRows> => {
  const sizes = sizesFor(sample.companies)
  const rows = new SampleRows(sample, sizes)
  const scored = Math.max(1, sizes.outreaches / sizes.scored)
  const scoredOutreach = (n: number) => Math.floor(n * scored)
  return [
    { table: TableName("cl", "company_identity"), rows: generate(sizes.companies, rows.company) },
    { table: TableName("cl", "company_domains"), rows: generate(sizes.domains, rows.domain) },
    { table: TableName("outreach", "hub_registry"), rows: Old.hubs },
    { table: TableName("outreach", "outreach"), rows: generate(sizes.outreaches, rows.outreach) },
    { table: TableName("outreach", "outreach_archive"), rows: generate(sizes.archived, rows.archived) },
    { table: TableName("outreach", "outreach_errors"), rows: generate(sizes.archived, rows.outreachError) },
    { table: TableName("outreach", "company_target"), rows: generate(sizes.outreaches, rows.target) },
    { table: TableName("outreach", "people"), rows: generate(sizes.people, rows.person) },
    { table: TableName("outreach", "dol"), rows: generate(sizes.scored, rows.filing) },
    { table: TableName("outreach", "campaigns"), rows: generate(sizes.campaigns, rows.campaign) },
    { table: TableName("outreach", "sequences"), rows: generate(sizes.campaigns * 3, rows.sequence) },
    { table: TableName("outreach", "send_log"), rows: generate(sizes.sends, rows.send) },
    { table: TableName("outreach", "engagement_events"), rows: generate(sizes.events, rows.event) },
    { table: TableName("outreach", "bit_signals"), rows: signals(rows, sizes.scored, scoredOutreach) },
    { table: TableName("outreach", "bit_errors"), rows: generate(sizes.archived, rows.bitError) },
    { table: TableName("outreach_ctx", "context"), rows: generate(sizes.campaigns, rows.context) },
    { table: TableName("outreach_ctx", "spend_log"), rows: generate(sizes.campaigns * 4, rows.spend) },
    {
      table: TableName("outreach", "bit_scores"),
      rows: generate(Math.min(6, sizes.scored), (n) => Old.score(rows.id("outreach", scoredOutreach(n) + 1)))
    },
    { table: TableName("bit", "bit_signal"), rows: twins(rows, scoredOutreach) },
    { table: TableName("bit", "bit_signal"), rows: generate(8, Old.signal) },
    { table: TableName("bit", "bit_company_score"), rows: generate(4, Old.company) },
    { table: TableName("bit", "bit_contact_score"), rows: generate(4, Old.contact) },
    ...(sample.badInput ? [{ table: TableName("outreach", "bit_signals"), rows: badSignals(rows) }] : [])
  ]
}

function* signals(rows: SampleRows, count: number, outreach: (n: number) => number): Iterable<Row> {
  for (let n = 0; n < count; n++) yield* rows.signalsOf(outreach(n))
}

/** Legacy rows that somebody has already copied from the first few outreaches' signals. */
function* twins(rows: SampleRows, outreach: (n: number) => number): Iterable<Row> {
  for (let n = 0; n < 3; n++) {
    for (const signal of rows.signalsOf(outreach(n))) yield Old.twin(signal, rows.companyOf(outreach(n)))
  }
}

const badSignals = (rows: SampleRows): Iterable<Row> =>
  generate(Old.badValues.length, (n) => ({ ...rows.signal(n, -1 - n), ...Old.badValues[n] }))
