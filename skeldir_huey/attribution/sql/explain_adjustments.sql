-- The adjustments of one sale, in the order in which they take money back. By index attribution_events_adjustments.
select id as event_id, occurred_at, revenue_cents
  from attribution_events
 where tenant_id = %(tenant_id)s and parent_event_id = %(sale_id)s and kind = 'adjustment'
 order by occurred_at, ingest_seq
