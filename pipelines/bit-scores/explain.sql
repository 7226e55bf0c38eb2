-- What `cdc explain` shows of one outreach, values as a topic has them. $1 text: the outreach's uuid. One row:
-- now (µs since 1970), there (the outreach exists), stored (its row of bit_scores, or null), signals (newest first).
select (extract(epoch from now()) * 1000000)::bigint as now,
  exists (select from outreach.outreach where outreach_id = $1::uuid) as there,
  (
    select json_build_object('score', score::text, 'tier', score_tier, 'signalCount', signal_count,
      'scoredAt', to_char(last_scored_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'))
    from outreach.bit_scores where outreach_id = $1::uuid
  ) as stored,
  coalesce((
    select json_agg(json_build_object(
      'signal_id', signal_id, 'signal_type', signal_type, 'source_spoke', source_spoke, 'signal_impact', signal_impact::text,
      'signal_timestamp', case when isfinite(signal_timestamp)
        then to_char(signal_timestamp at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') else signal_timestamp::text end,
      'decay_period_days', decay_period_days, 'correlation_id', correlation_id
    ) order by signal_timestamp desc, signal_id)
    from outreach.bit_signals where outreach_id = $1::uuid
  ), '[]') as signals
