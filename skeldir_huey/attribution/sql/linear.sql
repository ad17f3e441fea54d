-- Credits of linear: each channel of a conversion weighs as many as its touches. No index of its own: it groups what the journeys gave.
with journeys as (
  -- begin journeys
  select null::uuid as event_id, null::timestamptz as occurred_at, null::bigint as revenue_cents,
         null::text as currency, null::text as channel_code, null::boolean as is_fallback
   where false
  -- end journeys
)
select event_id, occurred_at, revenue_cents, currency, channel_code, count(*)::integer as weight, is_fallback
  from journeys
 group by event_id, occurred_at, revenue_cents, currency, channel_code, is_fallback
