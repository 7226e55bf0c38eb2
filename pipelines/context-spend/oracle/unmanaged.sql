-- compared: keys that differences.sql judges. unmanaged: rows that no attempt backs and that were never ours.
-- $1 text[]: only these keys, null for all. $2 jsonb: the settings, of which there are none.
with
  ours as (
    select format('[%s,%s]', to_json(outreach_context_id), to_json(coalesce(tool_name, 'unknown'))) as key
    from outreach_ctx.spend_log
    where outreach_context_id is not null and (cost_credits is null or cost_credits not in ('NaN', 'Infinity', '-Infinity'))
    union
    select key from managed where pipeline = 'context-spend' and target = 'reporting.context_spend'
  ),
  stored as (select format('[%s,%s]', to_json(outreach_context_id), to_json(tool_name)) as key from reporting.context_spend)
select count(ours.key) as compared, count(*) filter (where ours.key is null) as unmanaged
from ours full join stored using (key)
where ($1::text[] is null or key = any($1::text[])) and $2::jsonb is not null
