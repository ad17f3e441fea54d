-- Takes back an adjustment that waits, to be added anew as it was corrected; gives a row when there was one. By unique index waiting_adjustments_idempotency.
delete from waiting_adjustments
 where tenant_id = %(tenant_id)s and idempotency_key = %(idempotency_key)s
returning id
