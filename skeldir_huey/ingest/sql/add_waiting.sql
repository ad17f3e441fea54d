-- Keeps adjustments whose sale is not there yet. By unique index waiting_adjustments_idempotency.
insert into waiting_adjustments
  (tenant_id, source, line, order_id, occurred_at, event_type, revenue_cents, currency, idempotency_key, correlation_id)
select %(tenant_id)s, g.source, g.line, g.order_id, g.occurred_at, g.event_type, g.revenue_cents, g.currency,
       g.idempotency_key, %(correlation_id)s
  from unnest(%(source)s::text[], %(line)s::bigint[], %(order_id)s::text[], %(occurred_at)s::timestamptz[],
              %(event_type)s::text[], %(revenue_cents)s::bigint[], %(currency)s::text[], %(idempotency_key)s::bytea[])
       as g (source, line, order_id, occurred_at, event_type, revenue_cents, currency, idempotency_key)
on conflict (tenant_id, idempotency_key) do nothing
