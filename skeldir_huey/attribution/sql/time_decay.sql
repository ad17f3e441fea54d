-- Credits of time_decay: a touch weighs half as much for each half-life before the conversion's newest touch, to 15 decimals. No index of its own: it sorts what the journeys gave.
with journeys as (
  -- begin journeys
  select null::uuid as event_id, null::timestamptz as occurred_at, null::bigint as revenue_cents,
         null::text as currency, null::text as channel_code, null::boolean as is_fallback,
         null::timestamptz as touched_at, null::bigint as touch_seq
   where false
  -- end journeys
)
select event_id, occurred_at, revenue_cents, currency, channel_code, sum(weight) as weight, is_fallback
  from (
    -- Numeric, not floats: the same to the last digit on every machine. Beyond 50 half-lives 15 decimals are all zero.
    select event_id, occurred_at, revenue_cents, currency, channel_code, is_fallback,
           case when touched_at is null or touched_at = newest_at then 1::numeric
                when half_lives > 60 then 0
                -- 2 ^ -x as e ^ (-x ln 2): power() would find the logarithm of 2 anew for each touch, and take twice as long.
                else round(exp(round(-half_lives * 0.69314718055994530941723212, 24)), 15) end as weight
      from (select j.*,
                   round((extract(epoch from newest_at - touched_at)::numeric(40, 20)) / %(half_life_s)s::bigint, 20)
                     as half_lives
              from (select *, max(touched_at) over (partition by event_id) as newest_at from journeys) j) aged
    -- So that the server finds each weight once: it would set the expression into both the condition and the sum.
    offset 0) weighed
 where weight > 0
 group by event_id, occurred_at, revenue_cents, currency, channel_code, is_fallback
