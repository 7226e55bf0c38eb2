/** The table that is written and read, as the hub has it but for its foreign keys. */
export const createTable = `create schema outreach; create table outreach.bit_signals (
  signal_id uuid primary key default gen_random_uuid(), outreach_id uuid not null, signal_type text not null, signal_impact numeric(6, 2) not null,
  source_spoke text not null, correlation_id uuid, process_id uuid, signal_metadata jsonb, decay_period_days int, decayed_impact numeric(6, 2),
  signal_timestamp timestamptz not null default now(), processed_at timestamptz, created_at timestamptz not null default now())`

export const table = "outreach.bit_signals"

/** So many rows more, in one statement. */
export const insert = (rows: number): string =>
  `insert into outreach.bit_signals (outreach_id, signal_type, signal_impact, source_spoke, correlation_id, signal_metadata, decay_period_days)
  select gen_random_uuid(), 'email_open', 12.5, 'people', gen_random_uuid(), '{"campaign": "spring", "step": 3}', 30 from generate_series(1, ${rows})`

export const rowsPerTransaction = 10_000

/** So many rows more, {@link rowsPerTransaction} in each transaction. */
export const insertInTransactions = (rows: number): string =>
  `do $$ begin for batch in 1..${Math.ceil(rows / rowsPerTransaction)} loop ${insert(Math.min(rows, rowsPerTransaction))}; commit; end loop; end $$`

/** A row for each outreach in the array `$1`. */
export const insertFor = `insert into outreach.bit_signals (outreach_id, signal_type, signal_impact, source_spoke, correlation_id)
  select outreach_id::uuid, 'bench', 5, 'people', gen_random_uuid() from unnest($1::text[]) outreach_id`
