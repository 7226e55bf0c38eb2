-- compared: outreaches that differences.sql judges. unmanaged: rows that no valid signal backs and that were never ours.
-- $1 text[]: only these outreaches, null for all. $2 jsonb: the settings, of which none matters here.
with
  backed as (
    select distinct outreach_id
    from outreach.bit_signals
    join outreach.outreach using (outreach_id)
    where decay_period_days > 0 and signal_impact not in ('NaN', 'Infinity', '-Infinity')
  ),
  owned as (
    select outreach_id, backed.outreach_id is not null or outreach_id::text in (
        select key from managed where pipeline = 'bit-scores' and target = 'outreach.bit_scores'
      ) as is_ours
    from backed
    full join outreach.bit_scores using (outreach_id)
    where ($1::text[] is null or outreach_id = any($1::text[]::uuid[])) and $2::jsonb is not null
  )
select count(*) filter (where is_ours) as compared, count(*) filter (where not is_ours) as unmanaged
from owned
