-- Adds adjustments to their sales, in the order given, with the moments that they make out of date. The journey is the sale's. By unique index attribution_events_idempotency, sales by primary key.
with given as (
  select *
    from unnest(%(parent_event_id)s::uuid[], %(occurred_at)s::timestamptz[], %(event_type)s::text[],
                %(revenue_cents)s::bigint[], %(currency)s::text[], %(order_id)s::text[], %(idempotency_key)s::bytea[])
         with ordinality as g (parent_event_id, occurred_at, event_type, revenue_cents, currency, order_id,
                               idempotency_key, ord)
),
added as (
  insert into attribution_events
    (tenant_id, occurred_at, event_type, kind, journey_key, session_id, visitor_id, channel, campaign_id,
     revenue_cents, currency, order_id, parent_event_id, idempotency_key, correlation_id)
  select %(tenant_id)s, g.occurred_at, g.event_type, 'adjustment', s.journey_key, s.session_id, s.visitor_id, s.channel,
         s.campaign_id, g.revenue_cents, g.currency, coalesce(g.order_id, s.order_id), s.id, g.idempotency_key,
         %(correlation_id)s
    from given g
    join attribution_events s on s.tenant_id = %(tenant_id)s and s.id = g.parent_event_id
   order by g.ord
  returning occurred_at
)
insert into attribution_dirty_ranges (tenant_id, range_start, range_end, reason)
select %(tenant_id)s, lower(r.range), upper(r.range) + interval '1 microsecond', 'adjustment'
  from (select unnest(range_agg(tstzrange(occurred_at, occurred_at, '[]'))) as range from added) r
