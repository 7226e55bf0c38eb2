-- Where bit.bit_company_score differs from the signals, events and BIT scores of the company's outreaches.
-- $1 text[]: only these companies, null for all. $2 jsonb: {weights, channels}.
-- A row is required where the company has a row to mirror; without any, a row that was ever ours counts nothing.
with
  mirrored as (
    select sovereign_id::text as company, signal_type::text as type, round(signal_impact) as strength,
      signal_timestamp at time zone 'UTC' as captured_at
    from outreach.bit_signals
    join outreach.outreach using (outreach_id)
    where round(signal_impact) between -2147483648 and 2147483647
    union all
    select coalesce(event.company_unique_id, outreach.sovereign_id::text), event_type::text,
      coalesce(($2::jsonb -> 'weights' ->> event_type::text)::numeric, 0), event_ts at time zone 'UTC'
    from outreach.engagement_events event
    left join outreach.outreach using (outreach_id)
    where is_duplicate is not true
  ),
  counted as (
    select company, count(*) as signal_count, max(captured_at) as last_signal_at,
      sum(strength) filter (where type = any(array(select jsonb_array_elements_text($2::jsonb -> 'channels' -> 'email')))) as email_score,
      sum(strength) filter (where type = any(array(select jsonb_array_elements_text($2::jsonb -> 'channels' -> 'linkedin')))) as linkedin_score,
      sum(strength) filter (where type = any(array(select jsonb_array_elements_text($2::jsonb -> 'channels' -> 'website')))) as website_score
    from mirrored
    where company is not null and ($1::text[] is null or company = any($1::text[]))
    group by company
  ),
  best as ( -- the highest score among the company's outreaches, before it is rounded
    select distinct on (sovereign_id) sovereign_id::text as company, round(score) as score, score_tier::text as tier
    from outreach.outreach
    join outreach.bit_scores using (outreach_id)
    order by sovereign_id, bit_scores.score desc, bit_scores.score_tier collate "C" desc
  ),
  owned as (
    select key as company from managed
    where pipeline = 'legacy-mirrors' and target = 'bit.bit_company_score' and ($1::text[] is null or key = any($1::text[]))
  ),
  compared as (
    select company as key, counted.company is not null as is_required, stored.company_unique_id is not null as is_there,
      stored, counted, coalesce(best.score, 0) as score, coalesce(best.tier, 'COLD') as tier
    from counted
    full join owned using (company)
    left join best using (company)
    left join bit.bit_company_score stored on stored.company_unique_id = company
  )
select compared.key, difference."column", difference.stored, difference.expected
from compared
cross join lateral (
  select '(row)', 'absent', 'present'
  where is_required and not is_there
  union all
  select "column", found, wanted
  from (
    values
      ('signal_count', (stored).signal_count::text, coalesce((counted).signal_count, 0)::text),
      ('last_signal_at', (stored).last_signal_at::text, (counted).last_signal_at::text),
      ('email_score', (stored).email_score::text, coalesce((counted).email_score, 0)::bigint::text),
      ('linkedin_score', (stored).linkedin_score::text, coalesce((counted).linkedin_score, 0)::bigint::text),
      ('website_score', (stored).website_score::text, coalesce((counted).website_score, 0)::bigint::text),
      ('score', (stored).score::text, score::text),
      ('score_tier', (stored).score_tier, tier)
  ) as cell ("column", found, wanted)
  where is_there and found is distinct from wanted
) as difference ("column", stored, expected)
