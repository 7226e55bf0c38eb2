-- compared: contacts that contact-score.differences.sql judges. unmanaged: rows of contacts without an event that were
-- never ours. $1 text[]: only these contacts, null for all. $2 jsonb: the settings, of which none matters here.
with ours as (
  select person_id::text as contact from outreach.engagement_events where is_duplicate is not true and person_id is not null
  union
  select key from managed where pipeline = 'legacy-mirrors' and target = 'bit.bit_contact_score'
)
select count(ours.contact) as compared, count(*) filter (where ours.contact is null) as unmanaged
from ours
full join bit.bit_contact_score stored on stored.contact_unique_id = ours.contact
where ($1::text[] is null or coalesce(ours.contact, stored.contact_unique_id) = any($1::text[])) and $2::jsonb is not null
