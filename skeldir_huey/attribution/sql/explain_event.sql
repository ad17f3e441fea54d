-- One event of the tenant. By primary key.
select id as event_id, kind, event_type, occurred_at, revenue_cents, currency, channel, order_id, parent_event_id
  from attribution_events
 where tenant_id = %(tenant_id)s and id = %(event_id)s
