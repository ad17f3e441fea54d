-- Lets one transaction at a time ask for a backfill of the tenant. An advisory lock, no index.
select pg_advisory_xact_lock(hashtextextended('skeldir.backfill:' || %(tenant_id)s, 0))
