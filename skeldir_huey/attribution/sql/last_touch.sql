-- Credits of last_touch: the channel of a conversion's last touch weighs 1. No index of its own: it sorts what the journeys gave.
with journeys as (
  -- begin journeys
  select null::uuid as event_id, null::timestamptz as occurred_at, null::bigint as revenue_cents,
         null::text as currency, null::text as channel_code, null::boolean as is_fallback,
         null::timestamptz as touched_at, null::bigint as touch_seq
   where false
  -- end journeys
)
select distinct on (event_id) event_id, occurred_at, revenue_cents, currency, channel_code, 1 as weight,
       is_fallback
  from journeys
 order by event_id, touched_at desc, touch_seq desc
