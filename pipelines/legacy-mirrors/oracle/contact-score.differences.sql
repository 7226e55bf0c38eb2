-- Where bit.bit_contact_score differs from the contact's non-duplicate outreach.engagement_events.
-- $1 text[]: only these contacts, null for all. $2 jsonb: {weights, tiers}.
-- A row is required where the contact has an event; without any, a row that was ever ours holds zeros.
with
  tier as (
    select key as tier, value::numeric as threshold from jsonb_each_text($2::jsonb -> 'tiers')
  ),
  counted as (
    select person_id::text as contact, count(*) as signal_count,
      count(*) filter (where event_type = 'email_open') as email_opens,
      count(*) filter (where event_type = 'email_click') as email_clicks,
      count(*) filter (where event_type = 'linkedin_view') as linkedin_views,
      count(*) filter (where event_type = 'email_reply') as replies,
      least(greatest(sum(coalesce(($2::jsonb -> 'weights' ->> event_type::text)::numeric, 0)), 0), 100) as score
    from outreach.engagement_events
    where is_duplicate is not true and person_id is not null
      and ($1::text[] is null or person_id = any($1::text[]::uuid[]))
    group by person_id
  ),
  owned as (
    select key as contact from managed
    where pipeline = 'legacy-mirrors' and target = 'bit.bit_contact_score' and ($1::text[] is null or key = any($1::text[]))
  ),
  compared as (
    select contact as key, counted.contact is not null as is_required, stored.contact_unique_id is not null as is_there,
      stored, counted, coalesce(counted.score, 0) as score
    from counted
    full join owned using (contact)
    left join bit.bit_contact_score stored on stored.contact_unique_id = contact
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
      ('email_opens', (stored).email_opens::text, coalesce((counted).email_opens, 0)::text),
      ('email_clicks', (stored).email_clicks::text, coalesce((counted).email_clicks, 0)::text),
      ('linkedin_views', (stored).linkedin_views::text, coalesce((counted).linkedin_views, 0)::text),
      ('replies', (stored).replies::text, coalesce((counted).replies, 0)::text),
      ('score', (stored).score::text, round(score)::text),
      ('engagement_tier', (stored).engagement_tier,
        coalesce((select tier from tier where threshold <= score order by threshold desc limit 1), 'COLD'))
  ) as cell ("column", found, wanted)
  where is_there and found is distinct from wanted
) as difference ("column", stored, expected)
