-- The touches of one conversion as its run sees them, in order; or its fallback. Touches by index attribution_events_journey.
with journeys as (
  -- begin journeys
  select null::uuid as event_id, null::text as channel_code, null::boolean as is_fallback,
         null::timestamptz as touched_at, null::bigint as touch_seq
   where false
  -- end journeys
)
select channel_code, is_fallback, touched_at, touch_seq
  from journeys
 where event_id = %(event_id)s
 order by touched_at, touch_seq
