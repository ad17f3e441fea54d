-- Adjustments that have waited for their sale for too long, as far as nobody was told, in the order in which they came. By the primary key's tenant_id: few wait; records by unique index dead_events_idempotency.
select source, line, order_id, occurred_at, event_type, revenue_cents, currency, idempotency_key
  from waiting_adjustments w
 where w.tenant_id = %(tenant_id)s and w.created_at < clock_timestamp() - make_interval(days => %(wait_days)s)
   and not exists (select from dead_events d
                    where d.tenant_id = w.tenant_id and d.idempotency_key = w.idempotency_key
                      and d.remediation_status <> 'resolved')
 order by w.created_at, w.id
