-- Waits until nobody adds adjustments for this tenant, and keeps them out to the end of the transaction; sales do not wait for one another. An advisory lock, no index.
select pg_advisory_xact_lock_shared(hashtextextended('skeldir.adjust:' || %(tenant_id)s::text, 0))
