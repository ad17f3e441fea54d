-- Which of these keys are adjustments that were added, or that wait. By indexes attribution_events_idempotency and waiting_adjustments_idempotency.
select idempotency_key from attribution_events
 where tenant_id = %(tenant_id)s and idempotency_key = any (%(keys)s::bytea[])
 union all
select idempotency_key from waiting_adjustments
 where tenant_id = %(tenant_id)s and idempotency_key = any (%(keys)s::bytea[])
