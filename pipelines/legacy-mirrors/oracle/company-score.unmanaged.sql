-- compared: companies that company-score.differences.sql judges. unmanaged: rows of companies that nothing is mirrored
-- for, and that were never ours. $1 text[]: only these companies, null for all. $2 jsonb: the settings, of which none matters here.
with
  backed as (
    select sovereign_id::text as company
    from outreach.bit_signals
    join outreach.outreach using (outreach_id)
    where round(signal_impact) between -2147483648 and 2147483647
    union
    select coalesce(event.company_unique_id, outreach.sovereign_id::text)
    from outreach.engagement_events event
    left join outreach.outreach using (outreach_id)
    where is_duplicate is not true
  ),
  ours as (
    select company from backed where company is not null
    union
    select key from managed where pipeline = 'legacy-mirrors' and target = 'bit.bit_company_score'
  )
select count(ours.company) as compared, count(*) filter (where ours.company is null) as unmanaged
from ours
full join bit.bit_company_score stored on stored.company_unique_id = ours.company
where ($1::text[] is null or coalesce(ours.company, stored.company_unique_id) = any($1::text[])) and $2::jsonb is not null
