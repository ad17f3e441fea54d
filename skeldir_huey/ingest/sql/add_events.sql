-- Adds events that are not there yet, in the order given, with the ranges of conversion times that they make out of date. By unique index attribution_events_idempotency.
with given as (
  select *
    from unnest(%(occurred_at)s::timestamptz[], %(event_type)s::text[], %(kind)s::text[], %(journey_key)s::uuid[],
                %(session_id)s::uuid[], %(visitor_id)s::uuid[], %(channel)s::text[], %(campaign_id)s::text[],
                %(revenue_cents)s::bigint[], %(currency)s::text[], %(order_id)s::text[],
                %(idempotency_key)s::bytea[])
         with ordinality as g (occurred_at, event_type, kind, journey_key, session_id, visitor_id, channel,
                               campaign_id, revenue_cents, currency, order_id, idempotency_key, ord)
),
added as (
  insert into attribution_events
    (tenant_id, occurred_at, event_type, kind, journey_key, session_id, visitor_id, channel, campaign_id,
     revenue_cents, currency, order_id, idempotency_key, correlation_id)
  select %(tenant_id)s, occurred_at, event_type, kind, journey_key, session_id, visitor_id, channel, campaign_id,
         revenue_cents, currency, order_id, idempotency_key, %(correlation_id)s
    from given
   order by ord
  on conflict (tenant_id, idempotency_key) do nothing
  returning occurred_at, kind
),
-- How far a touch reaches, and whether a conversion takes touches away from later ones: by any version of the tenant.
reach as (
  select make_interval(secs => greatest(%(lookback_s)s, max((params->>'lookback_s')::bigint))) as lookback,
         coalesce(bool_or(params->>'repeat' = 'reset'), false) as resets
    from attribution_models
   where tenant_id = %(tenant_id)s
),
dirty as (
  insert into attribution_dirty_ranges (tenant_id, range_start, range_end, reason)
  select %(tenant_id)s, lower(r.range), upper(r.range) + interval '1 microsecond', 'ingest'
    from (select unnest(range_agg(tstzrange(
                   a.occurred_at,
                   case when a.kind = 'touch' or reach.resets then a.occurred_at + reach.lookback
                        else a.occurred_at end,
                   '[]'))) as range
            from added a cross join reach
           where a.kind in ('touch', 'conversion')) r
  returning 1
)
select count(*) filter (where kind = 'touch') as touch_count,
       count(*) filter (where kind = 'conversion') as conversion_count,
       count(*) as added_count,
       (select count(*) from dirty) as dirty_count
  from added
