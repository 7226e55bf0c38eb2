-- Where the totals of outreach.campaigns differ from what outreach.send_log says.
-- $1 text[]: only these campaigns, null for all. $2 jsonb: the settings, of which none matters here.
-- Campaigns without sends count only if their totals were ever ours; then they are zeros.
with
  expected as (
    select campaign_id,
      -- Who got it: the person, else the address; lower() in "C" touches ASCII letters only.
      count(distinct person_id) + count(distinct lower(email_to collate "C")) filter (where person_id is null) as targeted,
      count(sent_at) as sent, count(opened_at) as opened, count(clicked_at) as clicked, count(replied_at) as replied
    from outreach.send_log
    where campaign_id is not null and ($1::text[] is null or campaign_id = any($1::text[]::uuid[]))
    group by campaign_id
  ),
  compared as (
    select stored.*, coalesce(targeted, 0) as targeted, coalesce(sent, 0) as sent, coalesce(opened, 0) as opened,
      coalesce(clicked, 0) as clicked, coalesce(replied, 0) as replied
    from outreach.campaigns stored
    left join expected using (campaign_id)
    where ($1::text[] is null or campaign_id = any($1::text[]::uuid[])) and $2::jsonb is not null
      and (
        expected.campaign_id is not null
        or campaign_id::text in (select key from managed where pipeline = 'campaign-totals' and target = 'outreach.campaigns')
      )
  )
select campaign_id::text as key, difference."column", difference.stored::text, difference.expected::text
from compared
cross join lateral (
  values
    ('total_targeted', total_targeted, targeted),
    ('total_sent', total_sent, sent),
    ('total_opened', total_opened, opened),
    ('total_clicked', total_clicked, clicked),
    ('total_replied', total_replied, replied)
) as difference ("column", stored, expected)
where difference.stored <> difference.expected
