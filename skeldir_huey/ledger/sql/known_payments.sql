-- Which of these records are in the ledger. By unique index revenue_ledger_idempotency.
select idempotency_key from revenue_ledger
 where tenant_id = %(tenant_id)s and idempotency_key = any (%(keys)s::bytea[])
