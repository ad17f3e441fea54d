-- The first and the last time of the tenant's sales and refunds. By the ends of index attribution_events_valued.
select min(occurred_at) as first_at, max(occurred_at) as last_at
  from attribution_events
 where tenant_id = %(tenant_id)s and kind in ('conversion', 'adjustment')
