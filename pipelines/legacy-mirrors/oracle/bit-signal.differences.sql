-- Where bit.bit_signal differs from outreach.bit_signals and the non-duplicate outreach.engagement_events.
-- $1 text[]: only these source rows, as <source table>:<uuid>, null for all. $2 jsonb: {weights}.
-- A source row is found again by its surrogate: the integer that it was given for good.
with
  source_row as (
    select 'outreach.bit_signals' as table_name, signal_id::text as key,
      sovereign_id::text as company_unique_id, null::text as contact_unique_id, signal_type::text,
      round(signal_impact) as signal_strength, source_spoke::text as source, null::text as source_campaign_id,
      signal_metadata as metadata, signal_timestamp at time zone 'UTC' as captured_at
    from outreach.bit_signals
    left join outreach.outreach using (outreach_id)
    where round(signal_impact) between -2147483648 and 2147483647 -- NaN sorts above every number
    union all
    select 'outreach.engagement_events', event_id::text,
      coalesce(event.company_unique_id, outreach.sovereign_id::text), person_id::text, event_type::text,
      coalesce(($2::jsonb -> 'weights' ->> event_type::text)::numeric, 0), coalesce(source_system, 'unknown'), source_campaign_id,
      metadata, event_ts at time zone 'UTC'
    from outreach.engagement_events event
    left join outreach.outreach using (outreach_id)
    where is_duplicate is not true
  ),
  surrogate as (
    select source as table_name, key, id from surrogates where pipeline = 'legacy-mirrors'
  ),
  compared as (
    select table_name || ':' || key as key, source_row.key is not null as is_required, stored.signal_id is not null as is_there,
      stored, source_row
    from source_row
    full join surrogate using (table_name, key)
    left join bit.bit_signal stored on stored.signal_id = surrogate.id
    where $1::text[] is null or table_name || ':' || key = any($1::text[])
  )
select compared.key, difference."column", difference.stored, difference.expected
from compared
cross join lateral (
  select '(row)', case when is_there then 'present' else 'absent' end, case when is_required then 'present' else 'absent' end
  where is_there <> is_required
  union all
  select "column", found, wanted
  from (
    values
      ('company_unique_id', (stored).company_unique_id, (source_row).company_unique_id),
      ('contact_unique_id', (stored).contact_unique_id, (source_row).contact_unique_id),
      ('signal_type', (stored).signal_type, (source_row).signal_type),
      ('signal_strength', (stored).signal_strength::text, (source_row).signal_strength::bigint::text),
      ('source', (stored).source, (source_row).source),
      ('source_campaign_id', (stored).source_campaign_id, (source_row).source_campaign_id),
      ('metadata', (stored).metadata::text, (source_row).metadata::text), -- may print apart and be equal: 1.0, 1.00
      ('captured_at', (stored).captured_at::text, (source_row).captured_at::text)
  ) as cell ("column", found, wanted)
  where is_there and is_required and found is distinct from wanted
    and ("column" <> 'metadata' or (stored).metadata is distinct from (source_row).metadata)
) as difference ("column", stored, expected)
