-- compared: campaigns that differences.sql judges. unmanaged: those that never sent, whose totals were never ours.
-- $1 text[]: only these campaigns, null for all. $2 jsonb: the settings, of which none matters here.
with owned as (
  select exists (select from outreach.send_log sent where sent.campaign_id = campaign.campaign_id)
    or campaign_id::text in (select key from managed where pipeline = 'campaign-totals' and target = 'outreach.campaigns') as is_ours
  from outreach.campaigns campaign
  where ($1::text[] is null or campaign_id = any($1::text[]::uuid[])) and $2::jsonb is not null
)
select count(*) filter (where is_ours) as compared, count(*) filter (where not is_ours) as unmanaged
from owned
