-- Keeps the tenant's boundary where it is to the end of the transaction, beside others who do. An advisory lock, no index.
select pg_advisory_xact_lock_shared(hashtextextended('skeldir.retention:' || %(tenant_id)s::text, 0))
