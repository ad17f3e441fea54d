-- The journeys without repeated touches: consecutive keeps the first of each streak, unique the first of each channel. No index of its own: it sorts what the journeys gave.
with journeys as (
  -- begin journeys
  select null::uuid as event_id, null::timestamptz as occurred_at, null::bigint as revenue_cents,
         null::text as currency, null::text as channel_code, null::boolean as is_fallback,
         null::timestamptz as touched_at, null::bigint as touch_seq
   where false
  -- end journeys
)
select event_id, occurred_at, revenue_cents, currency, channel_code, is_fallback, touched_at, touch_seq
  from (select j.*,
               lag(channel_code) over (partition by event_id order by touched_at, touch_seq) as channel_before,
               row_number() over (partition by event_id, channel_code order by touched_at, touch_seq) as nth
          from journeys j) numbered
 where case %(dedupe)s when 'consecutive' then channel_before is distinct from channel_code else nth = 1 end
