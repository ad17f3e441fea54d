-- Takes the adjustments that wait for these orders, in the order in which they came. By index waiting_adjustments_order.
with taken as (
  delete from waiting_adjustments
   where tenant_id = %(tenant_id)s and order_id = any (%(order_ids)s::text[])
  returning source, line, order_id, occurred_at, event_type, revenue_cents, currency, idempotency_key, created_at, id
)
select source, line, order_id, occurred_at, event_type, revenue_cents, currency, idempotency_key
  from taken
 order by occurred_at, created_at, line, id
