-- compared: source rows and surrogates that bit-signal.differences.sql judges. unmanaged: rows of bit.bit_signal that
-- were never given to a source row, and so have no key. $1 text[]: only these source rows, null for all. $2 jsonb: the settings, of which none matters here.
with
  source_row as (
    select 'outreach.bit_signals' as table_name, signal_id::text as key
    from outreach.bit_signals
    where round(signal_impact) between -2147483648 and 2147483647
    union all
    select 'outreach.engagement_events', event_id::text
    from outreach.engagement_events
    where is_duplicate is not true
  ),
  surrogate as (
    select source as table_name, key, id from surrogates where pipeline = 'legacy-mirrors'
  )
select
  (
    select count(*) from source_row full join surrogate using (table_name, key)
    where ($1::text[] is null or table_name || ':' || key = any($1::text[])) and $2::jsonb is not null
  ) as compared,
  (select count(*) from bit.bit_signal m where $1::text[] is null and not exists (select from surrogate where id = m.signal_id)) as unmanaged
