-- Where outreach.bit_scores differs from what outreach.bit_signals say, each row judged at its own last_scored_at.
-- $1 text[]: only these outreaches, null for all. $2 jsonb: {floor, ceiling, tiers, components}.
-- A row is required where the outreach has a valid signal; without any, a row that was ever ours holds zeros.
with
  tier as (
    select key as tier, value::numeric as threshold from jsonb_each_text($2::jsonb -> 'tiers')
  ),
  spelling as (
    select component.key as component, spelling.value as spoke
    from jsonb_each($2::jsonb -> 'components') component, jsonb_array_elements_text(component.value) spelling
  ),
  stored as (
    select * from outreach.bit_scores where $1::text[] is null or outreach_id = any($1::text[]::uuid[])
  ),
  valued as (
    select signal.outreach_id, signal.signal_timestamp, spelling.component,
      case
        when signal.signal_timestamp >= stored.last_scored_at then signal.signal_impact
        when not isfinite(signal.signal_timestamp) or not isfinite(stored.last_scored_at) then 0 -- long over
        -- The product before the quotient, which has 16 significant digits and no fewer decimals than its parts.
        else signal.signal_impact * greatest(
            signal.decay_period_days * 86400::numeric
              - (extract(epoch from stored.last_scored_at) - extract(epoch from signal.signal_timestamp)), 0
          ) / (signal.decay_period_days * 86400::numeric)
      end as value
    from outreach.bit_signals signal
    join outreach.outreach using (outreach_id)
    left join stored using (outreach_id)
    left join spelling on spelling.spoke = signal.source_spoke
    where signal.decay_period_days > 0
      and signal.signal_impact not in ('NaN', 'Infinity', '-Infinity')
      and ($1::text[] is null or signal.outreach_id = any($1::text[]::uuid[]))
  ),
  expected as (
    select outreach_id, count(*) as signal_count, max(signal_timestamp) as last_signal_at,
      round(least(greatest(sum(value), ($2::jsonb ->> 'floor')::numeric), ($2::jsonb ->> 'ceiling')::numeric), 2) as score,
      round(coalesce(sum(value) filter (where component = 'people'), 0), 2) as people_score,
      round(coalesce(sum(value) filter (where component = 'dol'), 0), 2) as dol_score,
      round(coalesce(sum(value) filter (where component = 'blog'), 0), 2) as blog_score,
      round(coalesce(sum(value) filter (where component = 'talent_flow'), 0), 2) as talent_flow_score
    from valued
    group by outreach_id
  ),
  compared as (
    select outreach_id::text as key, stored.score_tier, stored.last_scored_at,
      stored.outreach_id is null as is_absent,
      stored.last_scored_at is not null or expected.outreach_id is null as has_instant, -- without signals, any will do
      (select tier from tier where threshold <= stored.score order by threshold desc limit 1) as tier_of_score,
      stored.signal_count, coalesce(expected.signal_count, 0) as expected_count,
      stored.last_signal_at, expected.last_signal_at as expected_at,
      stored.score, coalesce(expected.score, 0) as expected_score,
      stored.people_score, coalesce(expected.people_score, 0) as expected_people,
      stored.dol_score, coalesce(expected.dol_score, 0) as expected_dol,
      stored.blog_score, coalesce(expected.blog_score, 0) as expected_blog,
      stored.talent_flow_score, coalesce(expected.talent_flow_score, 0) as expected_talent_flow
    from expected
    full join stored using (outreach_id)
    where expected.outreach_id is not null
      or outreach_id::text in (select key from managed where pipeline = 'bit-scores' and target = 'outreach.bit_scores')
  )
select compared.key, difference."column", difference.stored, difference.expected
from compared
cross join lateral (
  values
    ('(row)', 'absent', 'present', is_absent),
    ('last_scored_at', null, 'an instant', not is_absent and last_scored_at is null),
    ('score', score::text, expected_score::text, has_instant and abs(score - expected_score) > 0.01),
    ('score_tier', score_tier, coalesce(tier_of_score, 'COLD'), score_tier <> coalesce(tier_of_score, 'COLD')),
    ('signal_count', signal_count::text, expected_count::text, signal_count <> expected_count),
    ('last_signal_at', last_signal_at::text, expected_at::text, not is_absent and last_signal_at is distinct from expected_at),
    ('people_score', people_score::text, expected_people::text, has_instant and abs(people_score - expected_people) > 0.01),
    ('dol_score', dol_score::text, expected_dol::text, has_instant and abs(dol_score - expected_dol) > 0.01),
    ('blog_score', blog_score::text, expected_blog::text, has_instant and abs(blog_score - expected_blog) > 0.01),
    ('talent_flow_score', talent_flow_score::text, expected_talent_flow::text, has_instant and abs(talent_flow_score - expected_talent_flow) > 0.01)
) as difference ("column", stored, expected, is_one)
where difference.is_one
