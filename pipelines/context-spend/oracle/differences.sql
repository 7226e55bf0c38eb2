-- Where reporting.context_spend differs from what outreach_ctx.spend_log says.
-- $1 text[]: only these keys, null for all. $2 jsonb: the settings, of which there are none.
-- A row is required where anything was attempted; without any attempt, a row that was ever ours holds zeros.
with
  spent as (
    select outreach_context_id, coalesce(tool_name, 'unknown') as tool_name,
      count(*) as attempts, sum(coalesce(round(cost_credits, 6), 0)) as credits
    from outreach_ctx.spend_log
    where outreach_context_id is not null and (cost_credits is null or cost_credits not in ('NaN', 'Infinity', '-Infinity'))
    group by 1, 2
  ),
  compared as (
    select format('[%s,%s]', to_json(outreach_context_id), to_json(tool_name)) as key, spent.attempts is not null as is_required,
      stored.outreach_context_id is not null as is_there, stored, coalesce(spent.credits, 0) as credits, coalesce(spent.attempts, 0) as attempts
    from spent full join reporting.context_spend stored using (outreach_context_id, tool_name)
  )
select compared.key, difference."column", difference.stored, difference.expected
from compared
cross join lateral (
  select '(row)', 'absent', 'present'
  where is_required and not is_there
  union all
  select "column", found::text, wanted::text
  from (values ('credits', (stored).credits, credits), ('attempts', (stored).attempts, attempts)) as cell ("column", found, wanted)
  where is_there and found is distinct from wanted
) as difference ("column", stored, expected)
where ($1::text[] is null or compared.key = any($1::text[])) and $2::jsonb is not null
  and (is_required or compared.key in (select key from managed where pipeline = 'context-spend' and target = 'reporting.context_spend'))
