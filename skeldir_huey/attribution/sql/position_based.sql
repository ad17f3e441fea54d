-- Credits of position_based: first, last and middle touches weigh as the three given whole numbers say. No index of its own: it sorts what the journeys gave.
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
    -- All weights of a journey of n touches times n - 2, so that they stay whole.
    select event_id, occurred_at, revenue_cents, currency, channel_code, is_fallback,
           case when touch_count = 1 then 1
                when touch_count = 2 and %(first)s::bigint + %(last)s::bigint = 0 then 1
                when touch_count = 2 then case nth when 1 then %(first)s::bigint else %(last)s::bigint end
                when nth = 1 then %(first)s::bigint * (touch_count - 2)
                when nth = touch_count then %(last)s::bigint * (touch_count - 2)
                else %(middle)s::bigint end as weight
      from (select j.*, count(*) over (partition by event_id) as touch_count,
                   row_number() over (partition by event_id order by touched_at, touch_seq) as nth
              from journeys j) numbered) weighed
 where weight > 0
 group by event_id, occurred_at, revenue_cents, currency, channel_code, is_fallback
