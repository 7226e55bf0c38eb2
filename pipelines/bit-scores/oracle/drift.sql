-- How many stored scores are off by more than 1.0 point by now, because time went on since last_scored_at.
-- $1 text[]: only these outreaches, null for all. $2 jsonb: {floor, ceiling}. A count, not a difference.
with
  valued as (
    select signal.outreach_id,
      case
        when signal.signal_timestamp >= now() then signal.signal_impact
        when not isfinite(signal.signal_timestamp) then 0
        else signal.signal_impact * greatest(
            signal.decay_period_days * 86400::numeric
              - (extract(epoch from now()) - extract(epoch from signal.signal_timestamp)), 0
          ) / (signal.decay_period_days * 86400::numeric)
      end as value
    from outreach.bit_signals signal
    where signal.decay_period_days > 0
      and signal.signal_impact not in ('NaN', 'Infinity', '-Infinity')
      and ($1::text[] is null or signal.outreach_id = any($1::text[]::uuid[]))
  ),
  current as (
    select outreach_id, least(greatest(sum(value), ($2::jsonb ->> 'floor')::numeric), ($2::jsonb ->> 'ceiling')::numeric) as score
    from valued
    group by outreach_id
  )
select count(*) as drifted
from current
join outreach.bit_scores stored using (outreach_id)
where abs(stored.score - current.score) > 1.0
